-- leave: removes a consumer that has nothing pending; XGROUP DELCONSUMER alone would drop what it has.
-- KEYS[1] stream   ARGV[1] group   ARGV[2] consumer
-- Returns 1 if it was removed, 0 if it has pending entries.
local function leave(keys, argv)
  if #redis.call('XPENDING', keys[1], argv[1], '-', '+', 1, argv[2]) > 0 then return 0 end
  redis.call('XGROUP', 'DELCONSUMER', keys[1], argv[1], argv[2])
  return 1
end
