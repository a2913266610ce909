-- adjust_fleet: sets the number of processors only, unless another order has come meanwhile.
-- KEYS[1] target   ARGV[1] version of the order that is adjusted   ARGV[2] count
-- Returns 1 if it was set, else 0.
local function adjust_fleet(keys, argv)
  if redis.call('HGET', keys[1], 'version') ~= argv[1] then return 0 end
  redis.call('HSET', keys[1], 'count', argv[2])
  return 1
end
