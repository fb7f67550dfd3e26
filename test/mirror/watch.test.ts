import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { refuse } from './fake-kube-api.ts'
import { type Cluster, createCountedTime, REGISTRY, rigOn } from './kit.ts'
import { realTime, until } from './rig.ts'

/** A mirror that follows its cluster, where a namespace is matched and another one is not. */
async function startedOn(t: TestContext, options: Parameters<typeof rigOn>[1] = {}) {
  const { cluster, rig } = await rigOn(t, { namespaces: ['team-a', 'named'], ...options })
  rig.start()
  await until(() => !rig.stale() && cluster.watches() === 2)
  return { cluster, rig }
}

const isMirrored = (cluster: Cluster, namespace: string) => cluster.get('secrets', namespace, 'regcred') !== undefined

test('a watch that is cut is opened again at once, from where it was, and misses nothing', async (t) => {
  const { time, begin, sleptMs } = createCountedTime()
  const { cluster } = await startedOn(t, { time })
  const lists = () => cluster.calls.filter(({ path, query }) => path === '/api/v1/namespaces' && !query.has('watch'))
  const before = lists().length
  begin()
  cluster.cutWatches()
  cluster.setNamespace('team-b')
  await until(() => isMirrored(cluster, 'team-b'))
  assert.ok(sleptMs() < 1_000)
  assert.equal(lists().length, before)
})

test('a watch whose version is too old lists anew, and finds what came, changed and went meanwhile', async (t) => {
  const { cluster, rig } = await startedOn(t)
  cluster.setMute(true)
  cluster.setNamespace('team-b')
  cluster.removeNamespace('team-a')
  cluster.compact()
  cluster.setMute(false)
  cluster.cutWatches()
  await until(() => isMirrored(cluster, 'team-b'))
  await until(() => rig.results().every(({ namespace }) => namespace === 'team-b'))
})

test('a watch that has fallen silent is opened again over new connections, after a new list', async (t) => {
  const { cluster, rig } = await startedOn(t, { silenceMs: 300 })
  cluster.setMute(true)
  cluster.setNamespace('team-b')
  cluster.setMute(false)
  await until(() => isMirrored(cluster, 'team-b'))
  await until(() => !rig.stale())
})

test('what a watch has lost without a word is found by the list that follows after the interval of the resync', async (t) => {
  const { cluster } = await startedOn(t, { resyncIntervalMs: 300 })
  cluster.setMute(true)
  cluster.setNamespace('team-b')
  cluster.loseEvents()
  cluster.setMute(false)
  await setTimeout(300)
  cluster.cutWatches()
  await until(() => isMirrored(cluster, 'team-b'))
})

test('a page of a list that is refused with 410 begins the list anew', async (t) => {
  const { cluster } = await startedOn(t)
  for (let n = 0; n < 600; n += 1) cluster.setNamespace(`other-${n}`)
  let refusals = 0
  cluster.setFault(({ path, query }, answer) => {
    if (path !== '/api/v1/namespaces' || !query.has('continue') || refusals > 0) return false
    refusals += 1
    refuse(answer, 410, { reason: 'Expired' })
    return true
  })
  cluster.compact()
  cluster.setMute(true)
  cluster.setNamespace('team-b')
  cluster.setMute(false)
  cluster.compact()
  cluster.cutWatches()
  await until(() => isMirrored(cluster, 'team-b'))
  assert.equal(refusals, 1)
})

for (const [status, reason] of [
  [403, 'Forbidden'],
  [404, 'NotFound'],
  [409, 'Conflict'],
  [429, 'TooManyRequests'],
  [500, 'InternalError'],
  [503, 'ServiceUnavailable'],
] as const) {
  test(`a watch that is refused with ${status} is tried again, and told of meanwhile`, async (t) => {
    const { cluster, rig } = await startedOn(t)
    cluster.setFault(({ query }, answer) => {
      if (!query.has('watch')) return false
      refuse(answer, status, { reason, message: 'canary' })
      return true
    })
    cluster.cutWatches()
    await until(() => rig.watches().some(({ fault }) => fault?.detail.includes(`HTTP ${status}, ${reason}`)))
    assert.ok(!JSON.stringify(rig.watches()).includes('canary'))
    cluster.setFault(undefined)
    cluster.setNamespace('team-b')
    await until(() => isMirrored(cluster, 'team-b'))
    await until(() => rig.watches().every(({ fault }) => fault === undefined))
  })
}

test('a 429 is waited out for as long as Retry-After says', async (t) => {
  const { cluster } = await startedOn(t)
  const asked: number[] = []
  cluster.setFault(({ path, query }, answer) => {
    if (path !== '/api/v1/namespaces' || !query.has('watch')) return false
    asked.push(performance.now())
    if (asked.length > 1) return false
    refuse(answer, 429, { headers: { 'retry-after': '2' } })
    return true
  })
  cluster.cutWatches()
  await until(() => asked.length === 2)
  const [first = 0, second = 0] = asked
  assert.ok(second - first >= 1_950, `${second - first} ms`)
})

test('watches that are cut again and again are opened at growing intervals', async (t) => {
  const pauses: number[] = []
  const time = {
    ...realTime,
    sleep: (durationMs: number, signal: AbortSignal) => {
      pauses.push(durationMs)
      return realTime.sleep(Math.min(durationMs, 30), signal)
    },
    random: () => 0.5,
  }
  const { cluster } = await startedOn(t, { time, silenceMs: 600_000, callTimeoutMs: 500_000 })
  cluster.setFault(({ query }, answer) => {
    if (query.has('watch')) answer.destroy()
    return query.has('watch')
  })
  cluster.cutWatches()
  await until(() => pauses.filter((pause) => pause === 30_000).length >= 2)
  for (const pause of [100, 1_000, 2_000, 4_000, 8_000, 16_000]) assert.ok(pauses.includes(pause), `no ${pause}`)
})

test('what stands in a line that is no event ends the watch, and it begins anew', async (t) => {
  const { cluster, rig } = await startedOn(t)
  let garbled = 0
  cluster.setFault(({ query }, answer) => {
    if (!query.has('watch') || garbled >= 3) return false
    garbled += 1
    answer.writeHead(200)
    answer.end(['not json canary\n', '{"type":"ADDED"}\n', '{"type":"ODD","object":{}}\n'][garbled % 3])
    return true
  })
  cluster.cutWatches()
  await until(() => garbled === 3)
  assert.ok(!JSON.stringify(rig.watches()).includes('canary'))
  cluster.setNamespace('team-b')
  await until(() => isMirrored(cluster, 'team-b'))
})

test('a namespace that goes away in mid-mirror is let go, without retries, and nothing is stale for it', async (t) => {
  const { cluster, rig } = await startedOn(t)
  cluster.setMute(true)
  cluster.setNamespace('team-b', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' })
  cluster.setMute(false)
  rig.store(REGISTRY, 'two')
  cluster.setNamespace('team-c')
  await until(() => isMirrored(cluster, 'team-c'))
  cluster.setNamespace('team-c', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' })
  await until(() => rig.results().every(({ namespace }) => namespace === 'team-a'))
  cluster.removeNamespace('team-c')
  await until(() => !rig.stale())
  assert.ok(!isMirrored(cluster, 'team-b'))
})

test('a namespace that was named, deleted and made anew gets its Secret within a second', async (t) => {
  const mirrors = [
    { registries: [REGISTRY], namespaces: ['team-*'] },
    { registries: [REGISTRY], namespaces: ['named'] },
  ]
  const { time, begin, sleptMs } = createCountedTime()
  const { cluster } = await startedOn(t, { mirrors, time })
  await until(() => isMirrored(cluster, 'named'))
  cluster.removeNamespace('named')
  await until(() => !isMirrored(cluster, 'named'))
  begin()
  cluster.setNamespace('named')
  await until(() => isMirrored(cluster, 'named'))
  assert.ok(sleptMs() < 1_000)
})

test('no right in one namespace stops that one alone', async (t) => {
  const { cluster, rig } = await startedOn(t)
  cluster.setFault(({ method, path }, answer) => {
    if (method === 'GET' || !path.includes('/team-b/')) return false
    refuse(answer, 403, { reason: 'Forbidden' })
    return true
  })
  for (const name of ['team-b', 'team-c']) cluster.setNamespace(name)
  await until(() => isMirrored(cluster, 'team-c'))
  rig.store(REGISTRY, 'two')
  const results = await rig.run()
  assert.deepEqual(results.map(({ namespace, outcome }) => [namespace, outcome]).sort(), [
    ['team-a', 'updated'],
    ['team-b', 'failed'],
    ['team-c', 'updated'],
  ])
  const calls = cluster.calls.length
  await until(() => cluster.calls.length > calls)
  assert.ok(
    cluster.calls.slice(calls).every(({ path }) => path.includes('/team-b/')),
    'it is tried again alone',
  )
})
