-- record_request: appends audit records as one entry, unless too many wait already.
-- KEYS[1] audit stream   KEYS[2] its totals   ARGV[1] the records, msgpack, one after the other   ARGV[2] how many
-- ARGV[3] backlog limit: records that may wait
-- Returns the number of records ever appended; -1 when it is full, and nothing was written.
local function record_request(keys, argv)
  local counts = redis.call('HMGET', keys[2], 'added', 'settled')
  if tonumber(counts[1] or 0) - tonumber(counts[2] or 0) >= tonumber(argv[3]) then return -1 end
  local time, n = redis.call('TIME'), tonumber(argv[2])
  local _, added = append(keys[1], keys[2], time[1] * 1000000 + time[2], n, '\221' .. struct.pack('>I4', n) .. argv[1])
  return added
end
