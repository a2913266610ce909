-- admit_at: the sliding window at given times instead of the server's own, from an empty list.
-- KEYS[1] limit list   ARGV[1] limit   ARGV[2] window in microseconds   ARGV[3..] the times, in microseconds
-- Returns for each time: admitted 0/1, remaining, microseconds until the oldest leaves, length of the list.
local function admit_at(keys, argv)
  redis.call('DEL', keys[1])
  local told = {}
  for i = 3, #argv do
    local window = open_window(keys[1], tonumber(argv[1]), tonumber(argv[2]), tonumber(argv[i]))
    local admitted = admit_one(window)
    local remaining, reset_us = left_in(window)
    close_window(window)
    told[#told + 1] = {admitted and 1 or 0, remaining, reset_us, redis.call('LLEN', keys[1])}
  end
  return told
end
