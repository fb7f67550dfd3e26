import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { z } from 'zod'
import type { Endpoint } from '../../src/admin/endpoint.ts'
import { endpoints } from '../../src/admin/endpoints.ts'
import { type Daemon, type RestAnswer, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { type FakeRegistry, startFakeRegistry } from '../helpers/fake-registry.ts'
import { openApiPath } from './openapi-doc.ts'

const HOST = 'registry.corp.example'
const GONE = 'gone.example'

type Answer = { content?: Record<string, { schema: object }> }
type Document = {
  paths: Record<string, Record<string, { responses: Record<string, Answer> }>>
  components: { schemas: Record<string, object> }
}

const document: Document = JSON.parse(await readFile(openApiPath, 'utf8'))

/** Everything that the document has against an answer. */
function faults(path: string, method: string, { status, headers, body }: RestAnswer): unknown {
  const answer = document.paths[path]?.[method]?.responses[status]
  if (answer === undefined) return `${method} ${path} does not know ${status}: ${JSON.stringify(body)}`
  if (answer.content === undefined) return body === undefined ? [] : 'a body that the document does not know'
  const type = headers['content-type']?.split(';')[0] ?? ''
  const schema = answer.content[type]?.schema
  if (schema === undefined) return `${method} ${path} ${status} does not know ${type}`
  const text = JSON.stringify({ ...schema, $defs: document.components.schemas })
  const form = z.fromJSONSchema(JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/')))
  return form.safeParse(body).error?.issues ?? []
}

describe('every endpoint of a daemon answers as the document says', () => {
  let daemon: Daemon
  let registry: FakeRegistry
  const seen = new Set<string>()

  before(async () => {
    registry = await startFakeRegistry({ auth: 'bearer', password: 'first' })
    registry.addManifest('team/canary', 'latest', { schemaVersion: 2 })
    const entry = { upstream: registry.origin.origin, canary: 'team/canary' }
    const registries = [HOST, GONE].map((host) => ({ host, ...entry }))
    daemon = await startDaemon({ registries })
  })
  after(async () => {
    await daemon.close()
    await registry.close()
  })

  async function ask(endpoint: Endpoint, segment: string, body?: object, headers: Record<string, string> = {}) {
    const [bare = '', query] = segment.split('?')
    const path = endpoint.path.replace(/:\w+/, encodeURIComponent(bare)) + (query === undefined ? '' : `?${query}`)
    const answer = await daemon.rest(endpoint.method.toUpperCase(), path, body, headers)
    assert.deepEqual(faults(endpoint.path.replace(/:(\w+)/g, '{$1}'), endpoint.method, answer), [], endpoint.name)
    seen.add(`${endpoint.name} ${answer.status}`)
    return answer
  }

  test('logins, rotations, tokens, readings, and what is refused', async () => {
    for (const host of [HOST, GONE]) {
      const body = { username: 'ci', password: 'first' }
      assert.equal((await ask(endpoints.putCredential, host, body)).status, 200)
    }
    assert.equal((await ask(endpoints.putCredential, HOST, { username: 7 })).body.errors.length, 2)
    assert.equal((await ask(endpoints.putCredential, 'none.example', {})).status, 404)
    assert.equal((await ask(endpoints.registry, HOST)).body.credential.username, 'ci')
    assert.equal((await ask(endpoints.registries, '')).body.registries.length, 2)

    const staged = await ask(endpoints.startRotation, HOST, { password: 'second' })
    assert.equal(staged.status, 202)
    const { id } = staged.body
    assert.equal((await ask(endpoints.startRotation, HOST, { password: 'third' })).status, 409)
    assert.equal((await ask(endpoints.startRotation, HOST, { generate: {}, password: 'x' })).status, 422)
    await ask(endpoints.rotation, id)
    await ask(endpoints.rotation, 'none')
    assert.equal((await ask(endpoints.abortRotation, id)).body.state, 'ABORTED')
    assert.equal((await ask(endpoints.rotations, `?host=${HOST}`)).body.rotations.length, 1)

    registry.setPassword('second')
    const waiting = { prefer: 'wait=30' }
    const done = await ask(endpoints.startRotation, HOST, { password: 'second' }, waiting)
    assert.equal(done.status, 200)
    assert.equal((await ask(endpoints.abortRotation, done.body.id)).status, 409)
    assert.equal((await ask(endpoints.startRotation, `${HOST}?dryRun=true`, {})).body.dryRun, true)
    assert.equal((await ask(endpoints.resolveRotation, done.body.id, { version: 'v1' })).status, 409)
    const back = await ask(endpoints.rollBackRotation, done.body.id, { deadlineSeconds: 0 })
    assert.equal(back.status, 202)
    await eventually(
      'the registry refuses the old one',
      async () => (await ask(endpoints.rotation, back.body.id)).body.state === 'ABORTED',
      40_000,
    )

    const rest = await daemon.rest('GET', `/v1/registries/${HOST}`)
    registry.setPassword('a third one')
    const stuck = await ask(endpoints.startRotation, HOST, { password: 'fourth', deadlineSeconds: 0 }, waiting)
    assert.equal(stuck.body.state, 'STUCK')
    registry.setPassword('second')
    const { version } = rest.body.credential
    assert.equal((await ask(endpoints.resolveRotation, stuck.body.id, { version })).status, 200)

    const hash = { id: '0123456789abcdef', sha256: 'a'.repeat(64), ttlSeconds: 3_600 }
    assert.equal((await ask(endpoints.createToken, '', { ...hash, scopes: ['read', `rotate:${HOST}`] })).status, 201)
    assert.equal((await ask(endpoints.createToken, '', { ...hash, scopes: ['everything'] })).status, 422)
    assert.equal((await ask(endpoints.tokens, '')).body.tokens.length, 1)
    assert.equal((await ask(endpoints.revokeToken, hash.id)).status, 204)
    assert.equal((await ask(endpoints.revokeToken, hash.id)).status, 404)

    await ask(endpoints.status, '')
    await ask(endpoints.mirror, '')
    await ask(endpoints.nodes, '')
    assert.equal((await ask(endpoints.kubernetesCheck, '')).body.code, 'KUBERNETES_NOT_CONFIGURED')
    await ask(endpoints.audit, '?limit=1000')
    assert.equal((await ask(endpoints.audit, '?limit=0')).status, 400)
    assert.deepEqual((await ask(endpoints.openapi, '')).body, document)
    assert.equal((await ask(endpoints.deleteCredential, GONE)).status, 204)
    assert.equal((await ask(endpoints.deleteCredential, GONE)).status, 404)
  })

  test('no good answer of the document went unseen', () => {
    // That needs a cluster: test/daemon/kubernetes-faults.test.ts.
    const unseen = Object.values<Endpoint>(endpoints).flatMap(({ name, answers }) =>
      Object.keys(answers).flatMap((status) => (seen.has(`${name} ${status}`) ? [] : [`${name} ${status}`])),
    )
    assert.deepEqual(unseen, ['checkKubernetes 200'])
  })
})
