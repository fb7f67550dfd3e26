import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../src/metrics.ts'

const pull = {
  registry: 'registry.corp.example',
  kind: 'blob',
  method: 'GET',
  status: 200,
  code: undefined,
  bytes: 100,
  durationMs: 30,
}

function create() {
  return createMetrics({ version: '0.1.0', registries: ['registry.corp.example', 'docker.io'] })
}

async function samples(metrics: ReturnType<typeof create>, name: string): Promise<string[]> {
  return (await metrics.text()).split('\n').filter((line) => line.startsWith(name))
}

test('a pull counts as a request, its bytes and its time in seconds', async () => {
  const metrics = create()
  metrics.pullEnded(pull)
  metrics.pullEnded({ ...pull, bytes: 50 })
  const labels = 'registry="registry.corp.example",kind="blob"'
  assert.deepEqual(await samples(metrics, 'regcredd_pull_requests_total'), [
    `regcredd_pull_requests_total{${labels},method="GET",status="200",code=""} 2`,
  ])
  assert.deepEqual(await samples(metrics, 'regcredd_pull_bytes_total'), [`regcredd_pull_bytes_total{${labels}} 150`])
  assert.deepEqual(await samples(metrics, 'regcredd_pull_duration_seconds_sum'), [
    `regcredd_pull_duration_seconds_sum{${labels}} 0.06`,
  ])
  assert.ok((await metrics.text()).includes(`le="0.05",${labels}} 2`))
})

test('nothing that a caller chooses makes a new series: strange names count as other', async () => {
  const metrics = create()
  for (let number = 0; number < 500; number += 1) {
    metrics.pullEnded({
      ...pull,
      registry: `evil-${number}.example`,
      kind: `kind-${number}`,
      method: `M${number}`,
      status: 600 + number,
    })
    metrics.rotationEnded({ registry: `evil-${number}.example`, state: 'COMMITTED' })
  }
  metrics.pullEnded({ ...pull, registry: undefined, kind: undefined, method: 'POST', status: 405 })
  assert.deepEqual(await samples(metrics, 'regcredd_pull_requests_total'), [
    'regcredd_pull_requests_total{registry="other",kind="other",method="other",status="other",code=""} 500',
    'regcredd_pull_requests_total{registry="other",kind="other",method="other",status="405",code=""} 1',
  ])
  assert.equal((await samples(metrics, 'regcredd_rotations_total')).length, 1)
})

test('codes are told up to a bound', async () => {
  const metrics = create()
  for (let number = 0; number < 500; number += 1) metrics.pullEnded({ ...pull, status: 502, code: `CODE_${number}` })
  assert.equal((await samples(metrics, 'regcredd_pull_requests_total')).length, 101)
})

test('the audit is up until a record cannot be written, and again when it can', async () => {
  const metrics = create()
  assert.deepEqual(await samples(metrics, 'regcredd_audit_up'), ['regcredd_audit_up 1'])
  metrics.auditFailed({ lost: 1 })
  metrics.auditFailed({ lost: 1 })
  assert.deepEqual(await samples(metrics, 'regcredd_audit_up'), ['regcredd_audit_up 0'])
  assert.deepEqual(await samples(metrics, 'regcredd_audit_missing'), ['regcredd_audit_missing_records_total 2'])
  metrics.auditRecovered()
  assert.deepEqual(await samples(metrics, 'regcredd_audit_up'), ['regcredd_audit_up 1'])
})

test('a mirror run replaces the outcomes of the one before', async () => {
  const metrics = create()
  metrics.mirrorResult({
    outcomes: ['created', 'failed', 'failed'],
    isStale: true,
    watches: [{ kind: 'secrets', name: 'regcred', heardAtMs: 1_500 }],
  })
  metrics.mirrorResult({ outcomes: ['unchanged', 'unchanged', 'unchanged'], isStale: false, watches: [] })
  assert.deepEqual(await samples(metrics, 'regcredd_mirror_secrets{'), [
    'regcredd_mirror_secrets{outcome="unchanged"} 3',
  ])
  assert.deepEqual(await samples(metrics, 'regcredd_mirror_stale'), ['regcredd_mirror_stale 0'])
})

test('keychain, token exchanges, connections, version and the process are told', async () => {
  const metrics = create()
  metrics.keychainState({ store: 'os', isReady: false })
  metrics.tokenExchanged({ registry: 'docker.io', outcome: 'failed', durationMs: 20 })
  metrics.connectionsOpen(3)
  const text = await metrics.text()
  for (const sample of [
    'regcredd_keychain_up{store="os"} 0',
    'regcredd_token_exchange_duration_seconds_count{registry="docker.io",outcome="failed"} 1',
    'regcredd_proxy_connections 3',
    `regcredd_build_info{version="0.1.0",node="${process.versions.node}"} 1`,
  ]) {
    assert.ok(text.includes(sample), sample)
  }
  assert.match(text, /^process_resident_memory_bytes \d+$/m)
  assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/)
})

test('two sets of metrics live beside each other', async () => {
  const [first, second] = [create(), create()]
  first.pullEnded(pull)
  assert.equal((await samples(first, 'regcredd_pull_requests_total')).length, 1)
  assert.equal((await samples(second, 'regcredd_pull_requests_total')).length, 0)
})

test('the event loop is looked at when metrics are asked for, and not by a timer that wakes an idle node', async () => {
  const metrics = createMetrics({ version: '0.1.0', registries: [] })
  const shown = await metrics.text()
  assert.match(shown, /^nodejs_eventloop_lag_seconds /m)
  assert.doesNotMatch(shown, /nodejs_eventloop_lag_(min|max|mean|stddev|p\d+)_seconds/)
})
