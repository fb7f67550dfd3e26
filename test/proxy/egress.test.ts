import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Secret } from '../../src/secret.ts'
import type { Lookup } from '../../src/upstream/address.ts'
import { createAgents } from '../../src/upstream/agents.ts'
import { createVerify } from '../../src/upstream/verify.ts'
import { startEgressProxy } from '../helpers/egress-proxy.ts'
import { eventually } from '../helpers/eventually.ts'
import { digestOf, startFakeRegistry } from '../helpers/fake-registry.ts'
import { listed, startTestProxy } from '../helpers/proxy.ts'
import { makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'
import { BLOB, codeOf } from './cases/kit.ts'

const skip = skipWithout('openssl')
const NAME = 'registry.invalid'
const MANIFEST = `/v2/team/app/manifests/1?ns=${NAME}`

/** A registry, its token server and its store under names that the egress proxy alone knows. */
async function start(t: TestContext, limits = listed(NAME, new URL(`https://${NAME}`)).limits) {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-egress-'))
  const ca = await makeCa(folder)
  const { cert, keyFile } = await makeServerCertificate(ca, folder, [NAME, 'auth.invalid', 'store.invalid'])
  const tls = { cert, key: await readFile(keyFile, 'utf8') }
  const auth = await startFakeRegistry({ auth: 'bearer', password: 'right', tls })
  const registry = await startFakeRegistry({
    auth: 'bearer',
    password: 'right',
    tls,
    realmOrigin: 'https://auth.invalid',
  })
  const store = await startFakeRegistry({ auth: 'none', tls })
  const egressProxy = await startEgressProxy()
  for (const [name, { port }] of [
    [NAME, registry],
    ['auth.invalid', auth],
    ['store.invalid', store],
  ] as const)
    egressProxy.places.set(`${name}:443`, port)
  // The registry believes the tokens that the other one gives.
  registry.script = (request, response) => {
    if (request.headers.authorization === undefined) return false
    if (request.url?.includes('/blobs/')) {
      response
        .writeHead(307, { location: `https://store.invalid/v2/x/blobs/${blob}?sig=planted`, 'content-length': 0 })
        .end()
      return true
    }
    if (!request.url?.includes('/manifests/')) return false
    response
      .writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json', 'content-length': 2 })
      .end('{}')
    return true
  }
  const blob = store.addBlob(BLOB)
  const egress = { proxyFor: () => ({ url: egressProxy.url, login: undefined, ca: undefined }) }
  // Not the DNS of this machine, which may take its time to say so.
  const lookup: Lookup = (_host, _options, callback) =>
    callback(Object.assign(new Error('none'), { code: 'ENOTFOUND' }), [])
  const trust = { ca: ca.cert, realms: ['https://auth.invalid'] }
  const entry = listed(NAME, new URL(`https://${NAME}`), { ...trust, limits })
  const proxy = await startTestProxy([entry], undefined, undefined, { egress, lookup })
  proxy.setCredential(NAME, { current: 'right' })
  t.after(async () => {
    await proxy.close(0)
    await egressProxy.close()
    for (const one of [auth, registry, store]) await one.close()
    await rm(folder, { recursive: true })
  })
  return { auth, registry, store, egressProxy, proxy, blob, surroundings: { egress, lookup }, entry }
}

test('a whole pull goes by the egress proxy: challenge, token server, manifest, and the store that the registry redirects to', {
  skip,
}, async (t) => {
  const { registry, auth, store, egressProxy, proxy, blob } = await start(t)
  assert.equal((await proxy.get(MANIFEST)).status, 200)
  const got = await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`)
  assert.deepEqual([got.status, digestOf(got.body)], [200, blob])
  const targets = new Set(egressProxy.asked.map(({ target }) => target))
  assert.deepEqual(targets, new Set([`${NAME}:443`, 'auth.invalid:443', 'store.invalid:443']))
  assert.equal(auth.requests.length, 1)
  assert.equal(store.requests[0]?.headers.authorization, undefined)
  assert.ok(registry.requests.length >= 3)
})

test('a login is verified by way of the egress proxy', { skip }, async (t) => {
  const { entry, surroundings, egressProxy } = await start(t)
  const agents = createAgents(entry, surroundings)
  t.after(agents.close)
  const parts = { agentsOf: () => agents, nowMs: () => performance.now(), wallNowMs: Date.now, userAgent: 'x' }
  const verify = createVerify([entry], parts)
  const verdict = (password: string) =>
    verify(NAME, { username: 'ci', secret: new Secret(password) }, new AbortController().signal)
  assert.equal((await verdict('wrong')).outcome, 'rejected')
  await egressProxy.close()
  agents.close()
  const unreachable = await verdict('right')
  assert.equal(unreachable.outcome, 'unreachable')
  assert.match(JSON.stringify(unreachable), new RegExp(`${egressProxy.host}: nothing listens there`))
})

test('a token server or store that the proxy lets nobody reach is an EGRESS_PROXY_FAILED, and no other code hides it', {
  skip,
}, async (t) => {
  const { egressProxy, proxy, blob } = await start(t)
  for (const name of ['auth.invalid', 'store.invalid']) {
    egressProxy.script = (socket, target) => {
      if (target !== `${name}:443`) return false
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
      return true
    }
    const got = await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`)
    assert.deepEqual([got.status, codeOf(got.body)], [502, 'EGRESS_PROXY_FAILED'], name)
    assert.match(got.body.toString(), new RegExp(`${egressProxy.host}: it answered 403`))
    assert.doesNotMatch(got.body.toString(), /planted|store\.invalid/)
  }
})

test('a tunnel that the proxy cuts in mid-blob resets the caller', { skip }, async (t) => {
  const { store, proxy, blob, egressProxy } = await start(t)
  store.script = (_request, response) => {
    response.writeHead(200, { 'content-length': BLOB.length }).write(BLOB.subarray(0, 1_000))
    return true
  }
  const got = await proxy.get(`/v2/team/app/blobs/${blob}?ns=${NAME}`, { onBegun: () => egressProxy.cut() })
  assert.deepEqual([got.status, got.cut], [200, true])
  await eventually('it is recorded', () => proxy.ended.at(-1)?.outcome.code === 'UPSTREAM_UNREACHABLE')
})

test('callers that leave while the proxy hangs leave nothing behind', { skip }, async (t) => {
  const limits = { connectTimeoutMs: 2_000, answerTimeoutMs: 10_000, idleTimeoutMs: 30_000, maxConnections: 16 }
  const { egressProxy, proxy } = await start(t, limits)
  egressProxy.script = () => true
  const leaving = new AbortController()
  const pulls = Array.from({ length: 5 }, () =>
    fetch(`http://127.0.0.1:${proxy.port}${MANIFEST}`, { signal: leaving.signal }).then(
      () => 'answered',
      () => 'gone',
    ),
  )
  await eventually('the proxy has been asked for all', () => egressProxy.asked.length === 5)
  leaving.abort()
  assert.deepEqual(new Set(await Promise.all(pulls)), new Set(['gone']))
  await eventually('all have ended', () => proxy.ended.length === 5)
  egressProxy.script = undefined
  await eventually('the proxy’s connections are closed', () => egressProxy.openConnections() === 0, 20_000)
  assert.equal((await proxy.get(MANIFEST)).status, 200)
})

test('pulls whose callers left while they waited for a tunnel cost none, and hold nobody up', { skip }, async (t) => {
  const limits = { connectTimeoutMs: 30_000, answerTimeoutMs: 30_000, idleTimeoutMs: 30_000, maxConnections: 1 }
  const { egressProxy, proxy } = await start(t, limits)
  egressProxy.script = () => true
  const callers = Array.from({ length: 6 }, () => connect(proxy.port, '127.0.0.1'))
  for (const caller of callers) caller.write(`GET ${MANIFEST} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
  await eventually('they wait', () => proxy.begun.length === callers.length && egressProxy.asked.length === 1)
  for (const caller of callers) caller.destroy()
  await eventually('they have ended', () => proxy.ended.length === callers.length)
  const staying = proxy.get(MANIFEST)
  await eventually('one more waits', () => proxy.begun.length === callers.length + 1)
  egressProxy.script = (socket) => {
    socket.destroy()
    return true
  }
  egressProxy.cut()
  const got = await staying
  assert.deepEqual([got.status, codeOf(got.body)], [502, 'EGRESS_PROXY_FAILED'])
  assert.equal(egressProxy.asked.length, 2, 'the first of those who left, and the one who stayed')
})
