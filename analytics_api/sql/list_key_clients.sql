-- The clients that have API keys: those whose accepted events may not be stored yet.
-- Parameters: none.
SELECT DISTINCT client_id FROM api_keys ORDER BY client_id
