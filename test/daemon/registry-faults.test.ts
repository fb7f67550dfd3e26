import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import { eventually } from '../helpers/eventually.ts'
import { startFakeRegistry } from '../helpers/fake-registry.ts'
import { ask, type Got } from '../helpers/proxy.ts'
import { beginPull, login, NAME, PASSWORD, slowBlob, startPair } from './pair.ts'

const codeOf = ({ body }: Got): string => JSON.parse(body.toString()).errors[0].detail.code

test('a login while the registry is down says so, stores nothing, and names the way to store it all the same', async (t) => {
  const { registry, daemon, port, manifest, token } = await startPair(t, { login: 'no' })
  await registry.close()
  const refused = await login(daemon)
  assert.equal(refused.code, 1)
  assert.match(
    refused.stderr,
    /cannot be reached[\s\S]*nothing listens there[\s\S]*--no-verify[\s\S]*UPSTREAM_UNREACHABLE/,
  )
  assert.equal(codeOf(await ask(port(), manifest, token())), 'CREDENTIAL_MISSING')
  assert.doesNotMatch((await daemon.cli(['list', '--json'])).stdout, /"username":"ci"/)
  assert.match((await daemon.cli(['audit', 'tail', '--json'])).stdout, /"outcome":"UPSTREAM_UNREACHABLE"/)

  const unseen = await login(daemon, PASSWORD, '--no-verify')
  assert.deepEqual([unseen.code, /the registry was not asked/.test(unseen.stdout)], [0, true], unseen.stderr)
  const down = await ask(port(), manifest, token())
  assert.deepEqual([down.status, codeOf(down)], [502, 'UPSTREAM_UNREACHABLE'])
  assert.equal((await fetch(`${daemon.health}/readyz`)).status, 200, 'one registry that is down makes no node unready')
  const again = await startFakeRegistry({ auth: 'bearer', password: PASSWORD, port: registry.port })
  t.after(() => again.close())
  again.addManifest('team/app', '1', { schemaVersion: 2 })
  assert.equal((await ask(port(), manifest, token())).status, 200)
})

test('an unlisted registry is a 404, and nobody is connected to', async (t) => {
  const { daemon, port, token } = await startPair(t, { login: 'no' })
  let connections = 0
  const other = createServer(() => (connections += 1))
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const { port: otherPort } = other.address() as AddressInfo
  const target = `127.0.0.1:${otherPort}`
  for (const path of [
    `/v2/team/app/manifests/1?ns=${target}`,
    `/v2/${target}/team/app/manifests/1`,
    `/v2/team/app/manifests/1?ns=localhost:${otherPort}`,
    '/v2/team/app/manifests/1',
  ]) {
    const got = await ask(port(), path, token())
    assert.deepEqual([got.status, codeOf(got)], [404, 'REGISTRY_UNLISTED'], path)
  }
  assert.equal(connections, 0)
  const kinds = new Set((await daemon.audit()).map(({ type }) => type).filter((type) => type.startsWith('pull.')))
  assert.deepEqual([...kinds], ['pull.refused'])
  const metrics = await (await fetch(`${daemon.health}/metrics`)).text()
  assert.match(
    metrics,
    /regcredd_pull_requests_total\{registry="[^"]*",kind="[^"]*",method="GET",status="404",code="REGISTRY_UNLISTED"\} 4/,
  )
  assert.doesNotMatch(metrics, /127\.0\.0\.1:/, 'a caller cannot make new time series')
})

test('without the caller token or with a wrong one a pull is refused, and the registry is not asked', async (t) => {
  const { registry, port, manifest } = await startPair(t)
  registry.requests.length = 0
  for (const headers of [{}, { 'regcredd-token': 'x' }, { 'regcredd-token': '' }, { authorization: 'Basic Og==' }]) {
    const got = await ask(port(), manifest, { headers })
    assert.deepEqual([got.status, codeOf(got)], [403, 'CALLER_REFUSED'])
  }
  assert.equal(registry.requests.length, 0)
})

test('a push is refused with 405 and the methods that there are, and the registry is not asked', async (t) => {
  const { registry, port, token } = await startPair(t)
  registry.requests.length = 0
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    const got = await ask(port(), `/v2/team/app/blobs/uploads/?ns=${NAME}`, { ...token(), method })
    assert.deepEqual([got.status, codeOf(got), got.headers.allow], [405, 'METHOD_UNSUPPORTED', 'GET, HEAD'])
  }
  assert.equal(registry.requests.length, 0)
})

test('a caller that leaves in mid-blob ends the registry’s stream, and the audit calls the pull incomplete', async (t) => {
  const { registry, daemon } = await startPair(t)
  const { path, state } = slowBlob(registry)
  const pull = await beginPull(daemon, path)
  pull.leave()
  await eventually('the registry sees the end', () => state.closed)
  const end = await eventually('the record', async () => (await daemon.audit()).find(({ type }) => type === 'pull.end'))
  assert.partialDeepStrictEqual(end, { complete: false, status: 200 })
  assert.ok(!('code' in end) || end.code === undefined, 'that a caller leaves is no fault of anybody')
  pull.close()
})

test('a registry that goes away in mid-blob resets the caller, who never takes the rest for the whole', async (t) => {
  const { registry, daemon } = await startPair(t)
  const { path, state } = slowBlob(registry)
  const pull = await beginPull(daemon, path)
  state.cut()
  await eventually('the caller sees the cut', () => pull.state.cut)
  assert.equal(pull.state.ended, false)
  const end = await eventually('the record', async () => (await daemon.audit()).find(({ type }) => type === 'pull.end'))
  assert.partialDeepStrictEqual(end, { complete: false, code: 'UPSTREAM_UNREACHABLE', bytes: pull.state.bytes })
  await eventually('it is logged', () => /"complete":false.*"code":"UPSTREAM_UNREACHABLE"/.test(daemon.log()))
  pull.close()
})

test('a caller who sends half a request head does not hold a connection for ever', async (t) => {
  const { port } = await startPair(t, { login: 'no', config: { proxy: { headersTimeoutMs: 500 } } })
  const socket = connect(port(), '127.0.0.1')
  socket.write('GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ')
  socket.resume()
  const startedMs = performance.now()
  await once(socket, 'close')
  // Without that limit of its own it would be ten seconds.
  assert.ok(performance.now() - startedMs < 8_000)
})
