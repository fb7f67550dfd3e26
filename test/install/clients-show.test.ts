import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { run } from '../cli/regcredd.ts'

const TOKEN = 'a-caller-token-of-at-least-32-characters'
const BASIC = Buffer.from(`node:${TOKEN}`).toString('base64')
let folder: string
let config: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'regcredd-clients-'))
  config = join(folder, 'config.json')
  const callerTokenFile = join(folder, 'caller-token')
  await writeFile(callerTokenFile, `${TOKEN}\n${'b'.repeat(40)}\n`, { mode: 0o600 })
  const registries = [{ host: 'reg.example.com:5000' }, { host: 'docker.io', fallback: 'origin' }]
  await writeFile(config, JSON.stringify({ registries, keychain: { store: 'memory' }, proxy: { callerTokenFile } }))
})
after(() => rm(folder, { recursive: true }))

const show = (...args: string[]) => run(['--config', config, 'clients', 'show', ...args])

describe('regcredd clients show', () => {
  test('prints files, paths and fail-over without a daemon, and the token only on demand', async () => {
    for (const client of ['containerd', 'podman', 'cri-o', 'skopeo', 'dockerd']) {
      for (const form of [[], ['--json']]) {
        const { code, stdout, stderr } = await show(client, ...form)
        assert.equal(code, 0, stderr)
        assert.ok(!(stdout + stderr).includes(TOKEN) && !(stdout + stderr).includes(BASIC), client)
        assert.match(stdout, /docker\.io/)
      }
    }
    const shown = await show('containerd', '--show-token')
    assert.match(shown.stdout, new RegExp(`regcredd-token = \\["${TOKEN}"\\]`))
    assert.doesNotMatch(shown.stdout, /CALLER_TOKEN/)
    assert.ok((await show('podman', '--show-token')).stdout.includes(`"auth": "${BASIC}"`))
  })

  test('says where the token is', async () => {
    const { stdout } = await show('podman')
    assert.ok(stdout.includes(join(folder, 'caller-token')))
  })

  test('prints the files of one registry, in any spelling of it, and refuses one that is not listed', async () => {
    const { stdout } = await show('containerd', '--registry', 'REG.example.com.:5000', '--json')
    const { files, failOver } = JSON.parse(stdout)
    assert.deepEqual(
      files.map(({ path }: { path: string }) => path),
      ['/etc/containerd/certs.d/reg.example.com_5000_/hosts.toml'],
    )
    assert.equal(failOver[0].next, null)
    const unlisted = await show('containerd', '--registry', 'other.example.com')
    assert.equal(unlisted.code, 1)
    assert.match(unlisted.stderr, /not listed/)
  })

  test('an unknown client is refused with the known ones', async () => {
    const { code, stderr } = await show('rkt')
    assert.equal(code, 64)
    assert.match(stderr, /containerd, podman, cri-o, skopeo, dockerd/)
  })

  test('without a token file it says that the first start makes it', async () => {
    await rm(join(folder, 'caller-token'))
    const { code, stderr } = await show('podman', '--show-token')
    assert.equal(code, 78)
    assert.match(stderr, /the first start of the daemon makes it/)
    assert.equal((await show('podman')).code, 0)
  })
})
