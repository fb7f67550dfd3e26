import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import packageJson from '../../package.json' with { type: 'json' }
import { problem, startFakeAdmin } from './fake-admin.ts'
import { mainPath, run } from './regcredd.ts'

describe('when the daemon cannot be asked', () => {
  let folder: string
  let server: Server
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regcredd-cli-'))
    await writeFile(join(folder, 'file'), '')
    server = createServer((socket) => void socket.end('SSH-2.0-OpenSSH\r\n'))
    await new Promise<void>((resolve) => server.listen(join(folder, 'other.sock'), resolve))
  })
  after(async () => {
    server.close()
    await rm(folder, { recursive: true })
  })

  for (const [what, name, words] of [
    [
      'without a socket',
      'none.sock',
      /there is no socket at .*none\.sock; is the daemon running\? systemctl status regcredd/,
    ],
    ['with a file where the socket should be', 'file', /nobody listens on/],
    ['with another program on the socket', 'other.sock', /other\.sock: HPE_/],
  ] as const) {
    test(`a command ${what} ends with 69 and says what to do`, async () => {
      const { code, stdout, stderr } = await run(['list'], { env: { REGCREDD_SOCKET: join(folder, name) } })
      assert.match(stderr, words)
      assert.deepEqual([code, stdout], [69, ''])
    })
  }

  test('with --json the error is JSON too, on stderr', async () => {
    const { code, stdout, stderr } = await run(['list', '--json', '--socket', join(folder, 'none.sock')])
    assert.equal(JSON.parse(stderr).error.code, 'DAEMON_UNREACHABLE')
    assert.deepEqual([code, stdout], [69, ''])
  })

  test('a socket that may not be opened ends with 77 and names the group', { skip: skipUnlessRoot() }, async () => {
    const admin = await startFakeAdmin()
    await chmod(admin.folder, 0o755)
    await chmod(admin.socket, 0o600)
    await chown(admin.socket, 65_534, 65_534)
    const { code, stderr } = await runWithoutOverride(['list', '--socket', admin.socket])
    await admin.close()
    assert.match(stderr, /usermod -aG regcredd/)
    assert.equal(code, 77)
  })

  test('an answer with a code of a later version is told as it came', async () => {
    const admin = await startFakeAdmin({ 'GET /v1/status': () => problem(418, 'TEAPOT', 'short and stout') })
    const { code, stderr } = await run(['status', '--socket', admin.socket])
    await admin.close()
    assert.match(stderr, /short and stout\n {2}TEAPOT: docs/)
    assert.equal(code, 1)
  })

  test('an answer that is no JSON is not taken for a success', async () => {
    const admin = await startFakeAdmin({ 'GET /v1/status': () => ({ text: '<html>' }) })
    const { code, stderr } = await run(['status', '--socket', admin.socket])
    await admin.close()
    assert.match(stderr, /is no regcredd of this version/)
    assert.equal(code, 69)
  })
})

describe('the command line itself', () => {
  for (const args of [[], ['nosuch'], ['config'], ['rotation'], ['audit', 'tail', '-n', 'x'], ['list', '--nosuch']]) {
    test(`regcredd ${args.join(' ')} ends with 64`, async () => {
      const { code, stdout, stderr } = await run(args)
      assert.deepEqual([code, stdout, stderr !== ''], [64, '', true])
    })
  }

  test('help that is asked for goes to stdout and ends with 0', async () => {
    const { code, stdout } = await run(['--help'])
    assert.equal(code, 0)
    for (const command of [
      'serve',
      'login',
      'logout',
      'list',
      'rotate',
      'rotation',
      'status',
      'mirror',
      'audit',
      'config',
      'version',
    ]) {
      assert.match(stdout, new RegExp(`^  ${command} `, 'm'))
    }
  })

  test('version prints the version of the package', async () => {
    const { stdout } = await run(['version', '--json'])
    assert.deepEqual(JSON.parse(stdout), { version: packageJson.version, node: process.version })
  })
})

describe('config check', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'regcredd-cli-'))
  })
  after(() => rm(folder, { recursive: true }))

  async function check(content: string, ...more: string[]) {
    const file = join(folder, 'config.json')
    await writeFile(file, content)
    return { file, ...(await run(['config', 'check', file, ...more])) }
  }

  test('tells every problem with its path, and ends with 78', async () => {
    const { code, stdout, stderr, file } = await check(
      '{"registries": [{"hots": "a.b"}], "keychain": {"store": "memory"}}',
    )
    assert.equal(
      stderr,
      `regcredd: ${file} is not valid\n  registries[0].host: is missing\n  registries[0].hots: is no key that regcredd knows (did you mean "host"?)\n  CONFIG_INVALID: docs/config.md has every key\n`,
    )
    assert.deepEqual([code, stdout], [78, ''])
  })

  test('gives the problems as JSON', async () => {
    const { code, stderr } = await check('[', '--json')
    const { error } = JSON.parse(stderr)
    assert.deepEqual([code, error.code, error.problems.length], [78, 'CONFIG_INVALID', 1])
  })

  test('says what a good file holds, and takes the file of --config where none is named', async () => {
    const { code, stdout, file } = await check('{"registries": [{"host": "a.b"}], "keychain": {"store": "memory"}}')
    assert.deepEqual([code, stdout], [0, `${file} is valid: 1 registry, keychain memory, 0 mirrors\n`])
    assert.equal((await run(['config', 'check'], { env: { REGCREDD_CONFIG: file } })).stdout, stdout)
  })
})

function skipUnlessRoot(): string | false {
  return process.getuid?.() === 0 ? false : 'only root can become another user'
}

/** Root, but without the right to open everything. As another user it could not read a project that lies in root's home. */
async function runWithoutOverride(args: string[]) {
  const command = [process.execPath, mainPath, ...args]
  const child = spawn('setpriv', ['--bounding-set=-dac_override,-dac_read_search', ...command])
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
  return { code, stderr }
}
