-- begin_trial: what is known of an entry's earlier trials, before it is tried again.
-- KEYS[1] the entry's trials   ARGV[1] consumer
-- A mark 'at:<consumer>' says what a consumer was trying. It takes its mark off when the try ends in any way but its own
-- death; so the mark of another is a death, and is counted as one here. A mark of one's own is a try whose end Redis missed.
-- Returns place, deaths, place, deaths, ...
local function begin_trial(keys, argv)
  local deaths, own = {}, 'at:' .. argv[1]
  local fields = redis.call('HGETALL', keys[1])
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 3) == 'at:' then
      redis.call('HDEL', keys[1], fields[i])
      if fields[i] ~= own then redis.call('HINCRBY', keys[1], 'deaths:' .. fields[i + 1], 1) end
    end
  end
  fields = redis.call('HGETALL', keys[1])
  for i = 1, #fields, 2 do
    deaths[#deaths + 1] = string.match(fields[i], '^deaths:(.*)$')
    deaths[#deaths + 1] = tonumber(fields[i + 1])
  end
  return deaths
end
