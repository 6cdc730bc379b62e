//! The tables as diesel sees them; `tests/service/storage.rs` compares them with a migrated database.

diesel::table! {
    accounts (id) {
        id -> Uuid,
        user_number -> Text,
        name -> Text,
        phone -> Text,
        email -> Text,
        language -> Text,
        time_zone -> Text,
        password_hash -> Text,
        staff -> Bool,
        grace_seconds -> Integer,
        entry_beep -> Bool,
        max_participants -> Nullable<Integer>,
        created_at -> Timestamptz,
        disabled_at -> Nullable<Timestamptz>,
        pin_hash -> Nullable<Text>,
        tariff -> Nullable<Text>,
        line -> Nullable<Text>,
        allowed_prefixes -> Nullable<Jsonb>,
        max_conferences -> Nullable<Integer>,
        max_length_seconds -> Nullable<Integer>,
        daily_spend_cap -> Nullable<BigInt>,
        at_cap -> Nullable<Text>,
        callable -> Text,
        retention_days -> Nullable<Integer>,
    }
}

diesel::table! {
    api_tokens (id) {
        id -> Uuid,
        token_hash -> Bytea,
        account -> Uuid,
        name -> Text,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    charge_batches (number) {
        number -> BigInt,
        format -> Integer,
        created_at -> Timestamptz,
        charges -> BigInt,
        csv_sha256 -> Bytea,
        jsonl_sha256 -> Bytea,
        handed_over_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    charges (id) {
        id -> Uuid,
        leg -> Uuid,
        conference -> Uuid,
        account -> Uuid,
        component -> Text,
        payer -> Text,
        payer_line -> Nullable<Text>,
        status -> Text,
        reason -> Nullable<Text>,
        tariff -> Nullable<Text>,
        tariff_version -> Nullable<Integer>,
        prefix -> Nullable<Text>,
        started_at -> Timestamptz,
        seconds -> BigInt,
        billed_seconds -> BigInt,
        net -> BigInt,
        vat_percent -> Integer,
        vat -> BigInt,
        gross -> BigInt,
        currency -> Text,
        revision -> Integer,
        reverses -> Nullable<Uuid>,
        created_at -> Timestamptz,
        part -> Integer,
        batch -> Nullable<BigInt>,
    }
}

diesel::table! {
    conferences (id) {
        id -> Uuid,
        account -> Uuid,
        room -> BigInt,
        title -> Text,
        state -> Text,
        reason -> Nullable<Text>,
        scheduled_at -> Nullable<Timestamptz>,
        started_at -> Nullable<Timestamptz>,
        running_since -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        settings -> Jsonb,
        node -> Nullable<Text>,
        created_at -> Timestamptz,
        tariff -> Nullable<Text>,
        plan -> Nullable<Uuid>,
        plan_start -> Nullable<Text>,
        plan_index -> Nullable<Integer>,
        length_minutes -> Nullable<Integer>,
        erased_at -> Nullable<Timestamptz>,
        lapsed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    contacts (id) {
        id -> Uuid,
        account -> Uuid,
        name -> Text,
        phone -> Text,
        email -> Nullable<Text>,
        note -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        code -> Nullable<Text>,
    }
}

diesel::table! {
    crossings (id) {
        id -> Uuid,
        to_node -> Uuid,
        request -> Jsonb,
        asked_at -> Timestamptz,
        taken_at -> Nullable<Timestamptz>,
        answer -> Nullable<Jsonb>,
    }
}

diesel::table! {
    events (id) {
        id -> Uuid,
        account -> Uuid,
        conference -> Uuid,
        seq -> BigInt,
        key -> Text,
        kind -> Text,
        data -> Jsonb,
        at -> Timestamptz,
    }
}

diesel::table! {
    group_members (group_id, contact) {
        account -> Uuid,
        group_id -> Uuid,
        contact -> Uuid,
        position -> Integer,
    }
}

diesel::table! {
    groups (id) {
        id -> Uuid,
        account -> Uuid,
        name -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    idempotency_keys (account, key) {
        account -> Uuid,
        key -> Text,
        request_sha256 -> Bytea,
        conference -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    journal (conference, seq) {
        conference -> Uuid,
        seq -> BigInt,
        at -> Timestamptz,
        entry -> Jsonb,
    }
}

diesel::table! {
    legs (id) {
        id -> Uuid,
        conference -> Uuid,
        participant -> Uuid,
        number -> Text,
        access_number -> Nullable<Text>,
        calling_line -> Nullable<Text>,
        way_of_entry -> Text,
        phase -> Text,
        outcome -> Nullable<Text>,
        evidence -> Nullable<Text>,
        queued_at -> Timestamptz,
        dialled_at -> Nullable<Timestamptz>,
        ringing_at -> Nullable<Timestamptz>,
        early_media -> Bool,
        answered_at -> Nullable<Timestamptz>,
        joined_at -> Nullable<Timestamptz>,
        left_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        q850 -> Nullable<Integer>,
        sip -> Nullable<Integer>,
        convener_pays -> Bool,
    }
}

diesel::table! {
    lock_outs (subject, key) {
        subject -> Text,
        key -> Text,
        failures -> Integer,
        last_failed_at -> Timestamptz,
        locked_until -> Nullable<Timestamptz>,
        leaked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    message_deliveries (id) {
        id -> Uuid,
        account -> Uuid,
        message -> Uuid,
        participant -> Uuid,
        name -> Text,
        channel -> Text,
        address -> Text,
        parts -> Integer,
        report -> Nullable<Text>,
        report_reason -> Nullable<Text>,
        reported_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    messages (id) {
        id -> Uuid,
        account -> Uuid,
        conference -> Nullable<Uuid>,
        purpose -> Text,
        text -> Text,
        created_at -> Timestamptz,
        plan -> Nullable<Uuid>,
    }
}

diesel::table! {
    outbox (id) {
        id -> Uuid,
        kind -> Text,
        account -> Uuid,
        conference -> Nullable<Uuid>,
        dedup_key -> Text,
        payload -> Jsonb,
        state -> Text,
        attempts -> Integer,
        next_attempt_at -> Timestamptz,
        claimed_at -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
        message_id -> Nullable<Text>,
        created_at -> Timestamptz,
        sent_at -> Nullable<Timestamptz>,
        remote_id -> Nullable<Text>,
        position -> BigInt,
        ordering_key -> Nullable<Text>,
    }
}

diesel::table! {
    participants (id) {
        id -> Uuid,
        conference -> Uuid,
        position -> Integer,
        name -> Text,
        phone -> Text,
        email -> Nullable<Text>,
        contact -> Nullable<Uuid>,
        convener -> Bool,
        removed -> Bool,
    }
}

diesel::table! {
    passes (id) {
        id -> Uuid,
        account -> Uuid,
        conference -> Nullable<Uuid>,
        contact -> Nullable<Uuid>,
        caller -> Jsonb,
        node -> Text,
        leg -> Nullable<Uuid>,
        issued_at -> Timestamptz,
    }
}

diesel::table! {
    plan_reminders (conference, minutes_before) {
        conference -> Uuid,
        minutes_before -> Integer,
        done_at -> Timestamptz,
    }
}

diesel::table! {
    plans (id) {
        id -> Uuid,
        account -> Uuid,
        title -> Text,
        agenda -> Text,
        schedule -> Jsonb,
        start_mode -> Text,
        channels -> Array<Nullable<Text>>,
        reminders -> Array<Nullable<Integer>>,
        sequence -> Integer,
        left_out -> Jsonb,
        created_at -> Timestamptz,
        cancelled_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    service_nodes (id) {
        id -> Uuid,
        name -> Text,
        started_at -> Timestamptz,
        renewed_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (token_hash) {
        token_hash -> Bytea,
        account -> Uuid,
        created_at -> Timestamptz,
        last_seen_at -> Timestamptz,
        expires_at -> Timestamptz,
        user_agent -> Nullable<Text>,
    }
}

diesel::table! {
    switch_leases (switch) {
        switch -> Text,
        owner -> Nullable<Uuid>,
        epoch -> BigInt,
        taken_at -> Nullable<Timestamptz>,
        ready -> Bool,
        room -> Integer,
    }
}

diesel::table! {
    switch_nodes (name) {
        name -> Text,
        booted_at -> Nullable<Timestamptz>,
        last_heard_at -> Timestamptz,
        draining -> Bool,
    }
}

diesel::table! {
    tariff_rates (tariff, component, prefix, valid_from) {
        tariff -> Uuid,
        component -> Text,
        prefix -> Text,
        valid_from -> Timestamptz,
        valid_to -> Nullable<Timestamptz>,
        description -> Text,
        connect_fee -> BigInt,
        price_per_minute -> BigInt,
        first_increment -> BigInt,
        next_increment -> BigInt,
        free_seconds -> BigInt,
        rounding_unit -> BigInt,
        vat_percent -> Integer,
        split -> Text,
    }
}

diesel::table! {
    tariffs (id) {
        id -> Uuid,
        name -> Text,
        version -> Integer,
        currency -> Text,
        valid_from -> Timestamptz,
        source_sha256 -> Bytea,
        imported_at -> Timestamptz,
        time_zone -> Text,
    }
}

diesel::table! {
    waiting_callers (leg) {
        leg -> Uuid,
        account -> Uuid,
        conference -> Uuid,
        contact -> Uuid,
        since -> Timestamptz,
    }
}

diesel::table! {
    webhooks (id) {
        id -> Uuid,
        account -> Nullable<Uuid>,
        name -> Text,
        url -> Text,
        secret -> Text,
        kinds -> Array<Nullable<Text>>,
        created_at -> Timestamptz,
        disabled_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(api_tokens -> accounts (account));
diesel::joinable!(message_deliveries -> outbox (id));
diesel::joinable!(sessions -> accounts (account));

diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    api_tokens,
    charge_batches,
    charges,
    conferences,
    contacts,
    crossings,
    events,
    group_members,
    groups,
    idempotency_keys,
    journal,
    legs,
    lock_outs,
    message_deliveries,
    messages,
    outbox,
    participants,
    passes,
    plan_reminders,
    plans,
    service_nodes,
    sessions,
    switch_leases,
    switch_nodes,
    tariff_rates,
    tariffs,
    waiting_callers,
    webhooks
);
