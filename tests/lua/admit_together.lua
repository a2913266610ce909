-- admit_together: calls to the sliding window at given times, each with several requests, from an empty list.
-- KEYS[1] limit list   ARGV[1] window in microseconds   ARGV[2..] limit, time in microseconds, requests, limit, time, ...
-- Returns for each call: admitted, remaining, microseconds until the oldest leaves, length of the list.
local function admit_together(keys, argv)
  redis.call('DEL', keys[1])
  local told = {}
  for i = 2, #argv, 3 do
    local window = open_window(keys[1], tonumber(argv[i]), tonumber(argv[1]), tonumber(argv[i + 1]))
    local admitted = 0
    for _ = 1, tonumber(argv[i + 2]) do
      if admit_one(window) then admitted = admitted + 1 end
    end
    local remaining, reset_us = left_in(window)
    close_window(window)
    told[#told + 1] = {admitted, remaining, reset_us, redis.call('LLEN', keys[1])}
  end
  return told
end
