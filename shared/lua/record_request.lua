-- record_request: appends one audit record.
-- KEYS[1] audit stream   KEYS[2] its totals   ARGV[1] the record, msgpack
-- Returns the number of records ever appended.
local function record_request(keys, argv)
  local time = redis.call('TIME')
  local _, added = append(keys[1], keys[2], time[1] * 1000000 + time[2], 1, '\221' .. struct.pack('>I4', 1) .. argv[1])
  return added
end
