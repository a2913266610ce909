#!lua name=bench_entry_packed
-- One stream entry for all events of a call. KEYS: stream. ARGV: number of events, packed events.
redis.register_function('bench_entry_packed', function(keys, argv)
  redis.call('XADD', keys[1], '*', 'n', argv[1], 'e', argv[2])
  return tonumber(argv[1])
end)
