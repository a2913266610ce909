-- leave: removes a consumer that has nothing pending; XGROUP DELCONSUMER alone would drop what it has.
-- KEYS[1] stream   ARGV[1] group   ARGV[2] consumer   ARGV[3] least idle time in ms, if it is another's consumer
-- Returns 1 if it was removed, 0 if it has pending entries, is not there, or was not idle for so long.
local function leave(keys, argv)
  if #redis.call('XPENDING', keys[1], argv[1], '-', '+', 1, argv[2]) > 0 then return 0 end
  if argv[3] then
    local idle_ms = -1
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', keys[1], argv[1])) do
      local facts = {}
      for i = 1, #consumer, 2 do facts[consumer[i]] = consumer[i + 1] end
      if facts['name'] == argv[2] then idle_ms = facts['idle'] end
    end
    if idle_ms < tonumber(argv[3]) then return 0 end
  end
  redis.call('XGROUP', 'DELCONSUMER', keys[1], argv[1], argv[2])
  return 1
end
