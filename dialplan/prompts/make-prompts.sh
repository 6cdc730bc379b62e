#!/usr/bin/env bash
# Speaks every prompt of every language and makes the beep and the waiting music.
# Usage: make-prompts.sh PROMPTS_DIR MUSIC_DIR
#
# PROMPTS_DIR/<language>/<name>.wav and MUSIC_DIR/waiting.wav are 8 kHz, mono, 16 bit: what a switch plays as it is.
# A file custom/<language>/<name>.wav (or custom/moh/*.wav) beside this script takes the place of the made one.
# Needs espeak-ng and sox.
set -euo pipefail

[ $# = 2 ] || {
    echo "Usage: make-prompts.sh PROMPTS_DIR MUSIC_DIR" >&2
    exit 2
}
for tool in espeak-ng sox; do
    command -v "$tool" >/dev/null || {
        echo "make-prompts.sh: $tool is missing; on Debian: apt-get install $tool" >&2
        exit 1
    }
done
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
prompts_dir=$1
music_dir=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$prompts_dir" "$music_dir"

# sox dithers by chance unless told not to (-D): the same text gives the same bytes every time.
wav() { sox -D "$1" -r 8000 -c 1 -b 16 -e signed-integer "$2" "${@:3}"; }

# The file of an operator, in the switch's format whatever he brought.
custom() {
    local file=$source_dir/custom/$1
    [ -f "$file" ] && wav "$file" "$2"
}

# Speaks one prompt: LANGUAGE NAME TEXT.
speak() {
    local target=$prompts_dir/$1/$2.wav spoken=$work/$1-$2.wav
    custom "$1/$2.wav" "$target" && return
    espeak-ng -v "$1" -s 160 -w "$spoken" -- "$3"
    # 0.1 s of silence before and after: the first syllable must not be lost while the sound path opens.
    wav "$spoken" "$target" norm -4 silence 1 0.02 0.5% reverse silence 1 0.02 0.5% reverse pad 0.1 0.1
    rm -f "$spoken"
}

# Some three hundred prompts: as many at once as there are processors.
export source_dir prompts_dir work
export -f wav custom speak
for list in "$source_dir"/??.txt; do
    language=$(basename "$list" .txt)
    mkdir -p "$prompts_dir/$language"
    # shellcheck disable=SC2016 # for the inner shell
    sed -n 's/^\([a-z][a-z0-9-]*\) = \(.*\)$/\1\n\2/p' "$list" | tr '\n' '\0' |
        xargs -0 -n 2 -P "$(nproc)" bash -euc 'speak "$0" "$1" "$2"' "$language"
    # One pure tone of 1000 Hz for 0.4 s at half amplitude, without clicks: a recording of a call can prove it.
    custom "$language/beep.wav" "$prompts_dir/$language/beep.wav" ||
        sox -D -n -r 8000 -c 1 -b 16 -e signed-integer "$prompts_dir/$language/beep.wav" \
            synth 0.4 sine 1000 vol 0.5 fade h 0.005 0.4 0.005
done

if compgen -G "$source_dir/custom/moh/*.wav" >/dev/null; then
    for file in "$source_dir"/custom/moh/*.wav; do
        wav "$file" "$music_dir/$(basename "$file")"
    done
else
    # Four soft broken chords, low and far from the beep's 1000 Hz; made here, so nobody's rights are touched.
    count=0
    for chord in "A2 E3 A3 C4" "F2 C3 A3 C4" "C3 G3 C4 E4" "G2 D3 G3 B3"; do
        read -r bass low middle high <<<"$chord"
        count=$((count + 1))
        sox -D -n -r 8000 -c 1 -b 16 "$work/chord$count.wav" \
            synth 4 pluck "$bass" pluck "$low" pluck "$middle" pluck "$high" \
            delay 0 0.5 1 1.5 remix - fade 0.02 4 0.4 lowpass 900 norm -18
    done
    sox -D "$work"/chord[1-4].wav "$work"/chord[1-4].wav -e signed-integer -b 16 "$music_dir/waiting.wav"
fi
