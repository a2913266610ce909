-- admit_request: the sliding window alone, for calls that bring no events.
-- KEYS[1] limit list   ARGV[1] limit   ARGV[2] window in microseconds
-- Returns {admitted 0/1, remaining, microseconds until the oldest admission leaves the window}
local function admit_request(keys, argv)
  local time = redis.call('TIME')
  local window = open_window(keys[1], tonumber(argv[1]), tonumber(argv[2]), time[1] * 1000000 + time[2])
  local admitted = admit_one(window)
  local remaining, reset_us = left_in(window)
  close_window(window)
  return {admitted and 1 or 0, remaining, reset_us}
end
