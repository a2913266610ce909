-- Deletes one key.
DELETE FROM api_keys WHERE public_id = %(public_id)s
