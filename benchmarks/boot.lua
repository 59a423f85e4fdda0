-- wrk posts one body again and again; it is told by the environment what.
wrk.method = "POST"
wrk.body = os.getenv("BENCH_BODY")
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-Auth-Token"] = os.getenv("BENCH_TOKEN")
wrk.headers["OpenStack-API-Version"] = "compute 2.90"

function done(summary, latency)
  print(string.format(
    "RESULT %d %d %d %d %d %d", summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
