import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { type Daemon, startDaemon } from '../helpers/daemon.ts'
import { eventually } from '../helpers/eventually.ts'
import { type Certificate, makeCa, makeServerCertificate } from '../helpers/tls.ts'
import { skipWithout } from '../helpers/tools.ts'

const HOST = 'registry.corp.example'
const TOKEN = /^rcd_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/

describe('regcredd token', { skip: skipWithout('openssl') }, () => {
  let folder: string
  let ca: Certificate
  let daemon: Daemon

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regcredd-token-'))
    ca = await makeCa(folder)
    await mkdir(join(folder, 'server'))
    const { certFile, keyFile } = await makeServerCertificate(ca, join(folder, 'server'), ['localhost', '127.0.0.1'])
    const tls = { listen: '127.0.0.1:0', certFile, keyFile, hosts: ['localhost'] }
    daemon = await startDaemon({
      registries: [{ host: HOST, upstream: 'https://127.0.0.1:1' }],
      config: { admin: { tls } },
    })
  })
  after(async () => {
    await daemon.close()
    await rm(folder, { recursive: true })
  })

  /** Asks by TLS, as a CI job does; gives the status and the code of a problem. */
  async function ask(
    token: string | undefined,
    path = '/v1/status',
  ): Promise<[number | undefined, string | undefined]> {
    const [, port] = /.*"adminTls":"127.0.0.1:(\d+)"/s.exec(daemon.log()) ?? []
    const headers = { host: 'localhost', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
    return new Promise((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port,
        path,
        headers,
        servername: 'localhost',
        ca: ca.cert,
        agent: new Agent(),
      }
      const asked = request(options, async (answer) => {
        const body = JSON.parse(await text(answer))
        resolve([answer.statusCode, body.code])
      })
      asked.on('error', reject).end()
    })
  }

  async function create(...args: string[]) {
    const outcome = await daemon.cli(['token', 'create', ...args])
    assert.equal(outcome.code, 0, outcome.stderr)
    return { ...outcome, token: outcome.stdout.trim() }
  }

  test('a token is alone on stdout, opens what its scope says until it is revoked, and is nowhere to be found', async () => {
    const { token, stderr, stdout } = await create('--scope', 'read', '--ttl', '90d', '--name', 'gitlab/infra')
    const [, id = ''] = TOKEN.exec(token) ?? []
    assert.equal(stdout, `${token}\n`)
    assert.match(stderr, new RegExp(`regcredd token revoke ${id}`))
    assert.deepEqual(await ask(token), [200, undefined])
    assert.deepEqual(await ask(token, '/v1/audit'), [403, 'TOKEN_SCOPE_MISSING'])
    assert.deepEqual(await ask(token, '/v1/tokens'), [403, 'TOKEN_SCOPE_MISSING'])

    const { tokens } = JSON.parse((await daemon.cli(['token', 'list', '--json'])).stdout)
    assert.partialDeepStrictEqual(tokens, [{ id, name: 'gitlab/infra', scopes: ['read'] }])
    assert.match((await daemon.cli(['token', 'list'])).stdout, new RegExp(`^${id}  gitlab/infra  read  `, 'm'))

    assert.equal((await daemon.cli(['token', 'revoke', id])).code, 0)
    assert.deepEqual(await ask(token), [401, 'TOKEN_REFUSED'])
    const again = await daemon.cli(['token', 'revoke', id])
    assert.deepEqual([again.code, /TOKEN_NOT_FOUND/.test(again.stderr)], [1, true])

    const audit = await daemon.audit()
    const acts = audit.flatMap((record) => ('action' in record && record.type === 'admin.outcome' ? [record] : []))
    assert.deepEqual(
      acts.map(({ action, target }) => [action, target]),
      [
        ['token.create', id],
        ['token.revoke', id],
      ],
    )
    await eventually('the refusals are in the audit', async () =>
      (await daemon.audit()).some((record) => record.type === 'admin.refused' && record.detail['token'] === id),
    )
    const secret = token.slice(-43)
    const kept = await readFile(join(daemon.folder, 'state/admin-tokens.json'), 'utf8')
    for (const place of [daemon.log(), JSON.stringify(await daemon.audit()), kept]) assert.ok(!place.includes(secret))
  })

  test('--json gives it with its facts, and --out puts it into a file of mode 0600 and not to stdout', async () => {
    const json = JSON.parse((await create('--scope', `rotate:${HOST}`, '--scope', 'read', '--json')).stdout)
    assert.match(json.token, TOKEN)
    assert.deepEqual(json.scopes, [`rotate:${HOST}`, 'read'])
    const file = join(folder, 'ci-token')
    const { stdout, stderr } = await create('--scope', 'audit:read', '--out', file)
    const written = await readFile(file, 'utf8')
    const [, id] = TOKEN.exec(written.trim()) ?? []
    assert.match(stderr, new RegExp(`to end it: regcredd token revoke ${id}\\n`))
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.ok(!stdout.includes(written.trim()))
    assert.deepEqual(await ask(written.trim(), '/v1/audit?limit=1'), [200, undefined])
  })

  test('a file that is there is not written over, and a token that is refused leaves no file', async () => {
    const file = join(folder, 'kept')
    await writeFile(file, 'mine')
    const { code, stderr } = await daemon.cli(['token', 'create', '--scope', 'read', '--out', file])
    assert.deepEqual([code, /is there already/.test(stderr), await readFile(file, 'utf8')], [64, true, 'mine'])
    const refused = join(folder, 'refused')
    const unlisted = await daemon.cli(['token', 'create', '--scope', 'rotate:none.example', '--out', refused])
    assert.deepEqual([unlisted.code, /REGISTRY_UNLISTED/.test(unlisted.stderr)], [1, true])
    await assert.rejects(stat(refused), { code: 'ENOENT' })
  })

  test('a scope that is none, a time that is none, and no scope at all are refused with words', async () => {
    for (const [args, words] of [
      [['--scope', 'write'], /scopes.0 must be read, audit:read or rotate:HOST/],
      [['--scope', 'read', '--ttl', '2y'], /a number with m, h or d/],
      [['--scope', 'read', '--ttl', '367d'], /from 1m to 366d/],
      [['--scope', 'read', '--name', 'a b'], /name must be/],
      [[], /--scope/],
    ] as const) {
      const { code, stderr } = await daemon.cli(['token', 'create', ...args])
      assert.ok(code === 64 || code === 1, stderr)
      assert.match(stderr, words)
    }
  })

  test('a stranger fills neither the log nor the audit', async () => {
    /** What is bounded is so for a minute, and a slow machine takes several. */
    const minutesOf = (tookMs: number) => 1 + Math.floor(tookMs / 60_000)
    const beganMs = performance.now()
    const before = daemon.log().length
    const seen = new Set<unknown>()
    for (let count = 0; count < 200; count += 1) seen.add((await ask('wrong')).join(' '))
    assert.deepEqual([...seen].slice(-1), ['429 TOO_MANY_FAILURES'])
    const lines = daemon
      .log()
      .slice(before)
      .split('\n')
      .filter((line) => line !== '')
    assert.ok(lines.length <= 5 * minutesOf(performance.now() - beganMs), `${lines.length} lines`)
    const refusals = (await daemon.audit()).filter(({ type }) => type === 'admin.refused')
    const times = refusals.map(({ time }) => Date.parse(time))
    const sinceFirstMs = Math.max(...times) - Math.min(...times)
    assert.ok(refusals.length <= 20 * minutesOf(sinceFirstMs), `${refusals.length} records`)
  })

  test('who makes a token for a daemon without admin.tls is told', async () => {
    assert.doesNotMatch((await create('--scope', 'read')).stderr, /admin\.tls/)
    const other = await startDaemon({ registries: [{ host: HOST }] })
    const { code, stderr } = await other.cli(['token', 'create', '--scope', 'read'])
    await other.close()
    assert.deepEqual([code, /admin\.tls is not configured/.test(stderr)], [0, true])
  })

  test('a token is good after a restart', async () => {
    const { token } = await create('--scope', 'read')
    await daemon.stop()
    await daemon.start()
    assert.deepEqual(await ask(token), [200, undefined])
    assert.deepEqual(await ask(undefined), [401, 'TOKEN_REFUSED'])
  })
})
