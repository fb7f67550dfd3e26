import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { awkwardPassword, type Canary, canaryOf, randomMark } from '../helpers/canary.ts'
import { eventually } from '../helpers/eventually.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import type { Recorded } from './recorded.ts'

const JSON_TYPE = 'application/json'
const BLOB = Buffer.alloc(100_000, 'blob')

/** Registries of every temper, and the secrets that are shown to the daemon beside them. */
export type Stage = Awaited<ReturnType<typeof setStage>>

export async function setStage() {
  /** Stands openly in names of all kinds, so that a search that finds it in a place has looked there. */
  const dye = `dye${randomMark()}`
  const secrets = {
    first: awkwardPassword('the first password'),
    second: awkwardPassword('the rotated password'),
    third: awkwardPassword('the password rotated by the command line'),
    basic: awkwardPassword('the password of the Basic registry'),
    wrong: awkwardPassword('a password that was refused'),
    never: awkwardPassword('a password whose rotation was aborted'),
    malformed: awkwardPassword('a password in a malformed body'),
    unseen: awkwardPassword('a password that was stored unverified'),
    wrongCaller: canaryOf('a wrong caller token', randomMark()),
    signature: canaryOf('the signature of a redirect', randomMark()),
    realmQuery: canaryOf('the query of a realm', randomMark()),
  }
  const bearer = await startFakeRegistry({ auth: 'bearer', password: secrets.first.value })
  const basic = await startFakeRegistry({ auth: 'basic', password: secrets.basic.value })
  const store = await startFakeRegistry({ auth: 'none' })
  const hostile = await startHostile(secrets.realmQuery)
  bearer.addManifest(`team/${dye}`, '1', { schemaVersion: 2, config: dye })
  basic.addManifest('team/app', '1', { schemaVersion: 2 })
  const blob = bearer.addBlob(BLOB)
  store.addBlob(BLOB)

  const allowAddresses = ['127.0.0.0/8']
  const registries = [
    { host: `${dye}.example`, upstream: bearer.origin.origin, credential: 'required', allowAddresses },
    { host: 'basic.example', upstream: basic.origin.origin },
    { host: 'down.example', upstream: 'http://127.0.0.1:1' },
    { host: 'hostile.example', upstream: hostile.origin },
  ]
  return {
    dye,
    host: `${dye}.example`,
    secrets,
    registries,
    bearer,
    basic,
    store,
    blob,
    /** Tokens that registries issued and were shown. */
    issued: () =>
      bearer.requests.flatMap(({ headers }) => {
        const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
        return token === undefined ? [] : [canaryOf('a token of the registry', token)]
      }),
    close: () => Promise.all([bearer.close(), basic.close(), store.close(), hostile.close()]),
  }
}

/** Challenges to a token server of another origin; on `/echo` it repeats what it was shown, as no JSON and in a challenge. */
async function startHostile(query: Canary): Promise<{ origin: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const shown = Buffer.from((request.headers.authorization ?? '').split(' ')[1] ?? '', 'base64').toString('latin1')
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    if (request.url?.startsWith('/token')) {
      response.end(`{"token": "${shown}`)
      return
    }
    const realm = request.url?.includes('/echo/')
      ? `${origin}/token?${query.value}=1`
      : `http://127.0.0.2:1/token?key=${query.value}`
    const echoed = encodeURIComponent(shown)
    response
      .writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="x",error="${echoed}"` })
      .end(`{"errors":[{"code":"UNAUTHORIZED","message":"${echoed}"}]}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export async function playLogins({ host, secrets, dye }: Stage, { cli, rest, pull }: Recorded): Promise<void> {
  assert.equal((await pull(manifestOf(dye, host))).status, 503)
  const login = (name: string, { value }: Canary, ...more: string[]) =>
    cli(['login', name, '--username', 'ci', '--password-stdin', ...more], { stdin: value })
  assert.equal((await login(host, secrets.wrong)).code, 1)
  assert.equal((await login(host, secrets.wrong, '--json')).code, 1)
  assert.equal((await login('down.example', secrets.unseen)).code, 1)
  assert.equal((await login('hostile.example', secrets.unseen)).code, 1)
  assert.equal((await login(host, secrets.first)).code, 0)
  for (const name of ['down.example', 'hostile.example'])
    assert.equal((await login(name, secrets.unseen, '--no-verify', '--email', `${dye}@corp.example`)).code, 0)
  const put = { method: 'PUT', body: JSON.stringify({ username: 'ci', password: secrets.basic.value }) }
  assert.equal((await rest('/v1/registries/basic.example/credential', put)).status, 200)
}

/** Bodies and queries with a password in them that no API could take. */
export async function playMalformed({ host, secrets }: Stage, { rest, cli }: Recorded): Promise<void> {
  const { value } = secrets.malformed
  const text = JSON.stringify({ username: 'ci', password: value })
  const bodies: [number, string, string][] = [
    [400, JSON_TYPE, text.slice(0, -1)],
    [400, JSON_TYPE, `${text}${value}`],
    [400, JSON_TYPE, text.replace('}', `,"password":${JSON.stringify(value)}}`)],
    [400, JSON_TYPE, Buffer.concat([Buffer.from(text), Buffer.from([0xff])]).toString('latin1')],
    [415, 'text/plain', text],
    [415, 'application/x-www-form-urlencoded', `password=${encodeURIComponent(value)}`],
    [422, JSON_TYPE, JSON.stringify({ username: 'ci', password: [value] })],
    [422, JSON_TYPE, JSON.stringify({ username: 'ci', password: value, [value]: value })],
    [422, JSON_TYPE, JSON.stringify({ username: 'ci', passwort: value })],
    [422, JSON_TYPE, JSON.stringify(value)],
    [413, JSON_TYPE, JSON.stringify({ username: 'ci', password: value.repeat(1_000) })],
  ]
  for (const [status, type, body] of bodies) {
    for (const [method, path] of [
      ['PUT', `/v1/registries/${host}/credential`],
      ['POST', `/v1/registries/${host}/rotations`],
    ] as const) {
      const answer = await rest(path, { method, body, headers: { 'content-type': type } })
      assert.equal(answer.status, status, `${method} ${type} ${answer.text}`)
    }
  }
  const inQuery = `/v1/registries/${host}/credential?password=${secrets.malformed.marks[0]}`
  await rest(inQuery, { method: 'PUT', body: text.slice(1) })
  await rest(`/v1/registries?password=${secrets.malformed.marks[0]}`, {
    headers: { authorization: `Basic ${value}`.replace(/[^ -~]/g, '') },
  })
  assert.equal(
    (
      await cli(['login', host, '--username', 'ci', '--password-stdin'], {
        stdin: Buffer.concat([Buffer.from(value), Buffer.from([0xff])]),
      })
    ).code,
    64,
  )
}

export async function playRotations({ host, secrets, bearer }: Stage, { rest, cli }: Recorded): Promise<void> {
  const path = `/v1/registries/${host}/rotations`
  const post = ({ value }: Canary, deadlineSeconds: number, headers: Record<string, string> = {}) =>
    rest(path, { method: 'POST', body: JSON.stringify({ password: value, deadlineSeconds }), headers })
  const key = { 'idempotency-key': 'rotation-of-june' }
  const started = await post(secrets.second, 60, key)
  assert.equal(started.status, 202, started.text)
  assert.equal((await post(secrets.second, 60, key)).status, 202)
  assert.equal((await post(secrets.never, 60, key)).status, 409)
  assert.equal((await post(secrets.never, 60)).status, 409)
  bearer.setPassword(secrets.second.value)
  const { id } = JSON.parse(started.text)
  const waited = await rest(`/v1/rotations/${id}`)
  assert.equal(waited.status, 200)
  await eventually(
    'the rotation is committed',
    async () => /"(COMMITTED|MIRRORED|GRACE)"/.test((await rest(`/v1/rotations/${id}`)).text),
    40_000,
  )
  await eventually(
    'the next may start',
    async () => (await post(secrets.never, 0, { prefer: 'wait=10' })).status === 200,
    40_000,
  )
  const staged = JSON.parse((await post(secrets.never, 60)).text)
  assert.equal((await cli(['rotation', 'get', staged.id])).code, 0)
  assert.equal((await cli(['rotation', 'abort', staged.id, '--json'])).code, 0)
  bearer.setPassword(secrets.third.value)
  const rotated = await cli(['rotate', host, '--password-stdin'], { stdin: secrets.third.value })
  assert.equal(rotated.code, 0, rotated.stderr)
}

export async function playPulls(stage: Stage, { pull }: Recorded): Promise<void> {
  const { host, dye, secrets, bearer, store, blob } = stage
  const { value: signature } = secrets.signature
  const blobPath = `/v2/team/${dye}/blobs/${blob}?ns=${host}`
  assert.equal((await pull(manifestOf(dye, host))).status, 200)
  assert.equal((await pull(manifestOf(dye, host), undefined, 'HEAD')).status, 200)
  assert.equal((await pull(blobPath)).status, 200)
  assert.equal((await pull('/v2/team/app/manifests/1?ns=basic.example')).status, 200)
  for (const [location, status] of [
    [`${store.origin.origin}/v2/x/blobs/${blob}?X-Amz-Signature=${signature}`, 200],
    [`${store.origin.origin}/nowhere?X-Amz-Signature=${signature}`, 404],
    [`http://user:${signature}@10.0.0.1/x?X-Amz-Signature=${signature}`, 502],
    [`http://127.0.0.1:1/x?X-Amz-Signature=${signature}`, 502],
    [`ftp://${signature}.example/x?X-Amz-Signature=${signature}`, 502],
  ] as const) {
    redirectBlobs(bearer, location)
    assert.equal((await pull(blobPath)).status, status, location)
  }
  cutBlobs(bearer)
  await pull(blobPath)
  bearer.script = undefined
  assert.equal((await pull(`/v2/team/app/manifests/1?ns=down.example`)).status, 502)
  assert.equal((await pull(`/v2/team/app/manifests/1?ns=hostile.example`)).status, 502)
  assert.equal((await pull(`/v2/team/echo/manifests/1?ns=hostile.example`)).status, 502)
  const { value } = secrets.wrongCaller
  for (const headers of [
    { 'regcredd-token': value },
    { authorization: `Basic ${Buffer.from(`any:${value}`).toString('base64')}` },
    { authorization: `Bearer ${value}`, cookie: `session=${value}`, 'x-registry-auth': value },
  ]) {
    assert.equal((await pull(manifestOf(dye, host), headers)).status, 403)
    assert.equal((await pull('/v2/', headers)).status, 401)
  }
  assert.equal((await pull(`/v2/team/app/manifests/1?ns=${host}&token=${value}`)).status >= 400, true)
}

export async function playQuestions(
  { host }: Stage,
  { rest, health, cli }: Recorded,
  ...flags: string[]
): Promise<void> {
  for (const path of [
    '/v1/status',
    '/v1/registries',
    `/v1/registries/${host}`,
    '/v1/mirror',
    '/v1/audit?limit=1000',
    '/v1/rotations',
  ])
    await rest(path)
  for (const path of ['/healthz', '/readyz', '/metrics']) await health(path)
  for (const args of [['status'], ['list'], ['mirror'], ['audit', 'tail'], ['config', 'check'], ['version']]) {
    await cli([...args, ...flags])
  }
}

function manifestOf(dye: string, host: string): string {
  return `/v2/team/${dye}/manifests/1?ns=${host}`
}

function redirectBlobs(registry: FakeRegistry, location: string): void {
  registry.script = (request, response) => {
    if (!request.url?.includes('/blobs/') || !request.headers.authorization?.startsWith('Bearer')) return false
    response.writeHead(307, { location }).end()
    return true
  }
}

function cutBlobs(registry: FakeRegistry): void {
  registry.script = (request, response) => {
    if (!request.url?.includes('/blobs/') || !request.headers.authorization?.startsWith('Bearer')) return false
    response.writeHead(200, { 'content-length': BLOB.length })
    response.write(BLOB.subarray(0, 1000), () => response.destroy())
    return true
  }
}
