# shellcheck shell=bash
# The spoken prompts and the waiting music, made by the project's own script.

SOUNDS_DIR=$LAB_DIR/sounds

sounds_install() {
    local prompts=$CHECKOUT_DIR/dialplan/prompts inputs
    inputs=$(find "$prompts" -type f -print0 | sort -z | xargs -0 sha256sum | sed "s|$prompts/||" | hash_of)
    if stamp_is sounds "$inputs" && [ -d "$SOUNDS_DIR" ]; then
        return 0
    fi
    say "[4/4] prompts and waiting music: speaking them with espeak-ng (about 5 s)"
    rm -rf "$SOUNDS_DIR.new"
    mkdir -p "$SOUNDS_DIR.new"
    bash "$prompts/make-prompts.sh" "$SOUNDS_DIR.new/prompts" "$SOUNDS_DIR.new/moh" 9>&- ||
        die "the prompts could not be made"
    rm -rf "$SOUNDS_DIR"
    mv "$SOUNDS_DIR.new" "$SOUNDS_DIR"
    set_stamp sounds "$inputs"
}
