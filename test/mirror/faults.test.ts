import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { createMirror } from '../../src/mirror/mirror.ts'
import type { Time } from '../../src/mirror/time.ts'
import { formsOf } from './credentials.ts'
import { accept, refuse, type Script, startFakeKubeApi } from './fake-kube-api.ts'
import { createRig, realTime, until } from './rig.ts'

const REGISTRY = 'registry.corp.example'
const CANARY = 'canary-7f3a-password'

/** The mirror against a scripted API server, on a clock that runs ahead whenever somebody sleeps. */
async function rigAgainst(
  t: TestContext,
  script: Script,
  options: { namespaces?: string[]; callTimeoutMs?: number; resyncIntervalMs?: number } = {},
) {
  const pauses: number[] = []
  const clock = { nowMs: Date.UTC(2026, 5, 1) }
  const time: Time = {
    now: () => new Date(clock.nowMs),
    random: () => 0.5,
    async sleep(durationMs, signal) {
      signal.throwIfAborted()
      pauses.push(durationMs)
      await setTimeout(5, undefined, { signal })
      clock.nowMs += durationMs
    },
  }
  const { namespaces = ['team-a'], ...rest } = options
  const fake = await startFakeKubeApi(script)
  const mirrors = [{ registries: [REGISTRY], namespaces, secretName: 'regcred' }]
  const rig = createRig({ kubeconfig: fake.kubeconfig, mirrors, time, ...rest })
  rig.store(REGISTRY, CANARY)
  t.after(async () => {
    await rig.close()
    await fake.close()
  })
  return { rig, fake, pauses, clock }
}

test('a storm of conflicts ends after five attempts, each with a new read and a longer pause', async (t) => {
  const { rig, fake, pauses } = await rigAgainst(t, ({ method }, answer) => {
    refuse(answer, method === 'GET' ? 404 : 409, { reason: method === 'GET' ? 'NotFound' : 'AlreadyExists' })
  })
  const [result] = await rig.run()
  assert.equal(result?.outcome, 'failed')
  assert.match(result?.detail ?? '', /somebody else keeps writing this object \(HTTP 409, AlreadyExists\)/)
  assert.deepEqual(
    fake.calls.map(({ method }) => method),
    Array(5).fill(['GET', 'POST']).flat(),
  )
  assert.equal(pauses.length, 4)
  assert.deepEqual(
    pauses,
    pauses.toSorted((a, b) => a - b),
  )
})

test('one conflict is got over', async (t) => {
  let conflicts = 0
  const { rig } = await rigAgainst(t, (call, answer) => {
    if (call.method === 'GET') return refuse(answer, 404)
    conflicts += 1
    return conflicts === 1 ? refuse(answer, 409) : accept(answer, call)
  })
  assert.equal((await rig.run())[0]?.outcome, 'created')
})

test('a 429 is waited out for as long as Retry-After says', async (t) => {
  const { rig, pauses } = await rigAgainst(t, (call, answer, n) => {
    if (n === 1) return refuse(answer, 429, { headers: { 'retry-after': '3' } })
    return call.method === 'GET' ? refuse(answer, 404) : accept(answer, call)
  })
  assert.equal((await rig.run())[0]?.outcome, 'created')
  assert.equal(pauses.length, 1)
  assert.ok((pauses[0] ?? 0) >= 3_000 && (pauses[0] ?? 0) < 3_100)
})

test('a 429 that asks for a long pause is left to the background, so that a rotation need not wait', async (t) => {
  const { rig, pauses, fake } = await rigAgainst(t, (_call, answer) =>
    refuse(answer, 429, { headers: { 'retry-after': '600' } }),
  )
  assert.match((await rig.run())[0]?.detail ?? '', /asks for patience/)
  assert.deepEqual([pauses, fake.calls.length], [[], 1])
})

test('an API server that stays silent costs one timeout, not one for each namespace', async (t) => {
  const namespaces = Array.from({ length: 50 }, (_, n) => `team-${n}`)
  const { rig, fake } = await rigAgainst(t, () => undefined, { namespaces, callTimeoutMs: 200 })
  const began = performance.now()
  const results = await rig.run()
  assert.ok(performance.now() - began < 5_000)
  assert.equal(results.length, 50)
  for (const { outcome, detail } of results) {
    assert.deepEqual([outcome, detail], ['failed', 'the Kubernetes API did not answer in time'])
  }
  assert.ok(fake.calls.length <= 8)
})

test('a write that hangs in one namespace, as a slow admission webhook makes it, fails there alone', async (t) => {
  const namespaces = Array.from({ length: 20 }, (_, n) => `team-${n}`)
  const { rig } = await rigAgainst(
    t,
    (call, answer) => {
      if (call.method === 'GET') return refuse(answer, 404)
      if (!call.path.includes('/team-0/')) accept(answer, call)
    },
    // What does answer must do so in time on a busy machine too.
    { namespaces, callTimeoutMs: 2_000 },
  )
  const results = await rig.run()
  assert.deepEqual(
    results.filter(({ outcome }) => outcome !== 'created').map(({ namespace }) => namespace),
    ['team-0'],
  )
})

test('a connection that breaks is tried once more', async (t) => {
  const { rig } = await rigAgainst(t, (call, answer, n) => {
    if (n === 1) return void answer.destroy()
    return call.method === 'GET' ? refuse(answer, 404) : accept(answer, call)
  })
  assert.equal((await rig.run())[0]?.outcome, 'created')
})

for (const [what, script] of [
  ['a Status that quotes the request', refusing(422, { reason: 'Invalid' })],
  ['a reason that is no word', refusing(403, { reason: `no ${CANARY}` })],
  ['a header that quotes the request', refusing(500, { headers: { warning: CANARY } })],
  ['an answer that is no JSON', sending(200, 'application/json', `<html>${CANARY}`)],
  ['an answer of an unknown type', sending(200, 'text/html', CANARY)],
  ['another object', sending(200, 'application/json', JSON.stringify({ metadata: { name: CANARY, uid: 'u' } }))],
  ['an error that is no Status', sending(502, 'text/plain', CANARY)],
] satisfies [string, Script][]) {
  test(`no detail quotes what the server sent: ${what}`, async (t) => {
    const { rig } = await rigAgainst(t, (call, answer, n) => {
      if (call.method === 'GET') return refuse(answer, 404)
      script(call, answer, n)
    })
    const [result] = await rig.run()
    assert.equal(result?.outcome, 'failed')
    const told = JSON.stringify([result, rig.results(), rig.changes])
    for (const form of formsOf(CANARY)) assert.ok(!told.includes(form), told)
  })
}

test('after failures the tries grow apart up to half a minute, and end with the first success', async (t) => {
  const { rig, pauses, fake } = await rigAgainst(t, (call, answer, n) => {
    if (n <= 7) return refuse(answer, 503)
    return call.method === 'GET' ? refuse(answer, 404) : accept(answer, call)
  })
  rig.start()
  await until(() => rig.results()[0]?.outcome === 'created')
  await rig.close()
  assert.equal(fake.calls[8]?.method, 'POST')
  assert.deepEqual(pauses.slice(0, 7), [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
})

test('a clock that is set back by a year stops neither the resync nor the retries', async (t) => {
  let down = false
  const { rig, fake, clock } = await rigAgainst(
    t,
    (call, answer) => {
      if (down) return refuse(answer, 503)
      return call.method === 'GET' ? refuse(answer, 404) : accept(answer, call)
    },
    { resyncIntervalMs: 60_000 },
  )
  rig.start()
  await until(() => fake.calls.length >= 4)
  for (const state of [false, true, false]) {
    down = state
    clock.nowMs -= 365 * 86_400_000
    const before = fake.calls.length
    await until(() => fake.calls.length >= before + 4)
  }
  await until(() => !rig.stale())
})

test('Secrets that have not been checked for three intervals count as stale', async (t) => {
  const { rig, clock } = await rigAgainst(
    t,
    (call, answer) => (call.method === 'GET' ? refuse(answer, 404) : accept(answer, call)),
    { resyncIntervalMs: 60_000 },
  )
  assert.ok(rig.stale(), 'before the first check')
  await rig.run()
  assert.ok(!rig.stale())
  clock.nowMs += 180_001
  assert.ok(rig.stale())
})

test('closing breaks off a call under way, and that is told to nobody but its caller', async (t) => {
  const { rig, fake } = await rigAgainst(t, () => undefined)
  const run = rig.run()
  await until(() => fake.calls.length === 1)
  await rig.close()
  assert.equal((await run)[0]?.detail, 'the attempt was broken off')
  assert.deepEqual(rig.changes, [])
})

test('an aborted rotation leaves its Secrets to the background', async (t) => {
  const { rig, fake } = await rigAgainst(t, () => undefined)
  const aborter = new AbortController()
  const run = rig.mirror(REGISTRY, aborter.signal)
  await until(() => fake.calls.length === 1)
  aborter.abort()
  assert.equal((await run)[0]?.outcome, 'failed')
  assert.ok(rig.stale())
})

for (const [what, content, told] of [
  ['no file', undefined, /cannot be read \(ENOENT\)/],
  ['no YAML', `users: [{token: ${CANARY}}\n\t- :`, /not well-formed/],
  ['nothing in it', '', /not well-formed/],
  ['no current context', '{"clusters":[],"users":[],"contexts":[]}', /names no cluster/],
  ['a server without TLS', kubeconfigFor('http://127.0.0.1:1', {}), /not https/],
  ['a token file that is not there', kubeconfigFor('https://127.0.0.1:1', { tokenFile: 'gone' }), /token file.*ENOENT/],
  ['a plugin that fails', kubeconfigFor('https://127.0.0.1:1', pluginThat(`echo ${CANARY} >&2; exit 1`)), /plugin/],
  ['a plugin that hangs', kubeconfigFor('https://127.0.0.1:1', pluginThat('sleep 3')), /did not answer in time/],
  ['a certificate authority that is none', kubeconfigFor('https://127.0.0.1:1', {}, CANARY), /cannot be/],
] satisfies [string, string | undefined, RegExp][]) {
  test(`a broken kubeconfig is a failure that quotes nothing: ${what}`, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'regcredd-kubeconfig-'))
    const kubeconfig = join(dir, 'kubeconfig')
    if (content !== undefined) await writeFile(kubeconfig, content)
    const mirrors = [{ registries: [REGISTRY], namespaces: ['team-a'], secretName: 'regcred' }]
    const rig = createRig({ kubeconfig, mirrors, callTimeoutMs: what === 'a plugin that hangs' ? 1_000 : 10_000 })
    t.after(async () => {
      await rig.close()
      await rm(dir, { recursive: true, force: true })
    })
    rig.store(REGISTRY, CANARY)
    const [result] = await rig.run()
    assert.equal(result?.outcome, 'failed')
    assert.match(result?.detail ?? '', told)
    assert.ok(!JSON.stringify([result, rig.changes]).includes(CANARY))
  })
}

test('without configuration there is nothing to mirror and nothing is stale', async () => {
  const room = createMirror({
    config: undefined,
    owner: 'node-1',
    readCredential: () => assert.fail('asked the keychain'),
    time: realTime,
    onChange: () => assert.fail('changed'),
  })
  room.start()
  assert.deepEqual(await room.mirror(REGISTRY, new AbortController().signal), [])
  assert.deepEqual([room.results(), room.stale()], [[], false])
  await room.close()
})

test('the client library is loaded by the first call and not before', async () => {
  const program = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ resolve(name, context, next) { loaded.push(name); return next(name, context) } })
    const { createMirror } = await import(${JSON.stringify(new URL('../../src/mirror/mirror.ts', import.meta.url).href)})
    const room = createMirror({
      config: { kubeconfig: '/dev/null', resyncIntervalMs: 1000, owner: 'o', orphansAfterMs: 1, formerSecretNames: [], mirrors: [{ registries: ['a.example'], namespaces: ['a'], exceptNamespaces: [], serviceAccounts: [], adopt: false, secretName: 'r' }] }, owner: 'o',
      readCredential: async () => undefined, onChange() {},
      time: { now: () => new Date(), random: () => 0, sleep: async () => {} },
    })
    const before = loaded.includes('@kubernetes/client-node')
    await room.mirror('a.example', new AbortController().signal)
    console.log(before, loaded.includes('@kubernetes/client-node'))`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let written = ''
  child.stdout.on('data', (chunk) => (written += chunk))
  await once(child, 'close')
  assert.equal(written.trim(), 'false true')
})

function refusing(code: number, parts: Parameters<typeof refuse>[2]): Script {
  return (call, answer) => refuse(answer, code, { message: call.body, ...parts })
}

function sending(code: number, type: string, body: string): Script {
  return (_call, answer) => void answer.writeHead(code, { 'content-type': type }).end(body)
}

function kubeconfigFor(server: string, user: object, ca?: string): string {
  const cluster = { server, ...(ca === undefined ? {} : { 'certificate-authority-data': ca }) }
  return JSON.stringify({
    clusters: [{ name: 'one', cluster }],
    users: [{ name: 'one', user }],
    contexts: [{ name: 'one', context: { cluster: 'one', user: 'one' } }],
    'current-context': 'one',
  })
}

function pluginThat(script: string): object {
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', args: ['-c', script] }
  return { exec: { ...exec, interactiveMode: 'Never' } }
}
