-- Writes down that a task of maintenance was done. Parameters: task, at, detail.
INSERT INTO maintenance (task, at, detail) VALUES (%s, %s, %s)
ON CONFLICT (task) DO UPDATE SET at = excluded.at, detail = excluded.detail
