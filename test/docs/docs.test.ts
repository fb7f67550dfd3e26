import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { parse } from 'smol-toml'
import { resolveConfig } from '../../src/config/load.ts'
import { findKey } from '../../src/keychain/key-file.ts'
import { ca } from '../config/resolving.ts'
import { readDocuments, root } from '../design/project.ts'
import { writeHostsToml } from '../helpers/containerd.ts'
import { skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { skipWithoutKubernetes, startKubeApiserver } from '../helpers/kube-apiserver.ts'
import { needTool, skipWithout } from '../helpers/tools.ts'
import { type Block, blocksOf, isConfig, isOutput, stepsOf } from './blocks.ts'
import { words } from './control.ts'
import { NAME, openSandbox, refuseOutside, type SandboxOptions } from './sandbox.ts'
import { shapeOf } from './shape.ts'

/** Blocks that no test runs: how each begins, and why. */
const NOT_RUN = [
  { file: 'README.md', begins: '$ npm run demo', why: 'CI runs both; here they would run themselves' },
  { file: 'README.md', begins: ' a pull', why: 'a picture' },
  { file: 'docs/install.md', begins: '$ npm ci', why: 'fetches packages; the build itself is run' },
  { file: 'docs/install.md', begins: '# systemd-sysusers', why: 'makes users' },
  { file: 'docs/install.md', begins: '# systemd-creds', why: 'needs a TPM' },
  { file: 'docs/install.md', begins: '[Service]', why: 'systemd-analyze checks it, see below' },
  { file: 'docs/keychain.md', begins: '# systemd-creds encrypt', why: 'needs a TPM' },
  { file: 'docs/keychain.md', begins: '# systemd-creds decrypt', why: 'needs a TPM' },
  { file: 'docs/audit.md', begins: '/var/log/regcredd/audit.jsonl {', why: 'logrotate is no part of the set-up' },
]
const PROXY = 'http://127.0.0.1:5050'

const documents = await readDocuments()
const texts = [...documents].filter(([file]) => file === 'README.md' || file.startsWith('docs/'))
const blocks = new Map(texts.map(([file, text]) => [file, blocksOf(file, text)]))
const all = [...blocks.values()].flat()
const where = ({ file, line }: Block) => `${file}:${line}`
const tools = skipWithout('curl', 'jq', 'openssl')

test('every block is run, loaded or parsed, or stands in the list of those that are not, with a reason', () => {
  const unknown = [...blocks.values()].flatMap((ofFile) =>
    ofFile.filter((block, index) => {
      if (['sh', 'json', 'toml'].includes(block.language)) return false
      if (index > 0 && isOutput(ofFile[index - 1] as Block, block)) return false
      return !NOT_RUN.some(({ file, begins }) => file === block.file && block.text.startsWith(begins))
    }),
  )
  assert.deepEqual(unknown.map(where), [])
  const idle = NOT_RUN.filter(
    ({ file, begins }) => !all.some((block) => block.file === file && block.text.startsWith(begins)),
  )
  assert.deepEqual(idle, [])
})

describe('configurations', () => {
  for (const [file, ofFile] of blocks) {
    for (const block of ofFile.filter((_, index) => isConfig(ofFile, index))) {
      test(`${where(block)} loads`, () => {
        const fragment = JSON.parse(block.text)
        const whole = { registries: [{ host: NAME }], keychain: { store: 'memory' }, ...fragment }
        const read = (path: string) => (path.endsWith('.pem') ? ca : '')
        const outcome = resolveConfig(whole, read)
        assert.ok('config' in outcome, `${file}: ${JSON.stringify(outcome)}`)
      })
    }
  }
})

describe('configurations of others', () => {
  const header = { 'regcredd-token': ['CALLER_TOKEN'] }
  const viaProxy = { [PROXY]: { capabilities: ['pull', 'resolve'], header } }
  const falling = { server: `https://${NAME}`, host: viaProxy }
  for (const block of all.filter(({ language }) => language === 'toml')) {
    test(`${where(block)} is what the tests use with the real part`, async () => {
      const parsed = plain(block.text)
      if ('host' in parsed) {
        if (parsed['server'] === PROXY) assert.deepEqual(parsed, await hostsTomlOfPullTest('CALLER_TOKEN', PROXY))
        else assert.deepEqual(parsed, falling)
      } else if ('registry' in parsed) {
        const entry = { prefix: NAME, location: `127.0.0.1:5050/${NAME}`, insecure: true }
        assert.deepEqual(parsed, { registry: [entry] })
      } else {
        assert.match(JSON.stringify(parsed), /"registry":\{"config_path":"\/etc\/containerd\/certs.d"\}/)
      }
    })
  }

  test('systemd knows the settings of the drop-ins', { skip: skipWithout('systemd-analyze') }, async () => {
    for (const block of all.filter(({ language }) => language === 'ini')) {
      const folder = await mkdtemp(join(tmpdir(), 'regcredd-unit-'))
      const unit = join(folder, 'regcredd.service')
      await mkdir(`${unit}.d`)
      const text = await readFile(join(root, 'systemd/regcredd.service'), 'utf8')
      await writeFile(unit, text.replace(/^ExecStart=.*$/m, 'ExecStart=/bin/true'))
      await writeFile(`${unit}.d/override.conf`, block.text)
      const { command, env } = needTool('systemd-analyze')
      const { status, stdout, stderr } = spawnSync(command, ['verify', '--man=no', '--recursive-errors=no', unit], {
        env,
        encoding: 'utf8',
      })
      await rm(folder, { recursive: true })
      assert.deepEqual([status, stdout + stderr], [0, ''], where(block))
    }
  })
})

describe('commands', () => {
  for (const [file, ofFile] of blocks) {
    const isSpecial = [
      'docs/install.md',
      'docs/keychain.md',
      'docs/kubernetes.md',
      'docs/fleet.md',
      'README.md',
    ].includes(file)
    if (isSpecial || !ofFile.some(({ language }) => language === 'sh')) continue
    test(`of ${file}, in order`, { skip: tools }, async (t) => {
      await follow(t, file, { tls: ofFile.some(({ text }) => text.includes(':5443')) }, 'logged in')
    })
  }

  test('of README.md, in order', { skip: tools }, async (t) => {
    await follow(t, 'README.md', {}, 'logged out')
  })

  test('of docs/install.md, in order, with the bundle', { skip: tools || skipWithout('skopeo') }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'regcredd-dist-'))
    t.after(() => rm(folder, { recursive: true }))
    const dist = join(folder, 'dist')
    await promisify(execFile)(process.execPath, [join(root, 'build.mjs'), dist])
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    const registries = all.find(({ text, language }) => language === 'toml' && text.includes('[[registry]]'))
    const sandbox = await follow(t, 'docs/install.md', {
      main: join(dist, 'regcredd.mjs'),
      stopped: true,
      clone: { dist, node_modules: join(root, 'node_modules') },
      registriesConf: registries?.text ?? '',
    })
    const at = (path: string) => join(sandbox.root, path)
    await findKey(at('etc/regcredd/keychain.key'), {})
    const hostsToml = at(`etc/containerd/certs.d/${NAME}/hosts.toml`)
    assert.equal((await stat(hostsToml)).mode & 0o777, 0o600)
    const written = plain(await readFile(hostsToml, 'utf8'))
    const { callerToken, proxy } = sandbox.daemon
    assert.deepEqual(written, await hostsTomlOfPullTest(callerToken, `http://${proxy}`))
    const unit = await readFile(at('usr/lib/systemd/system/regcredd.service'), 'utf8')
    assert.match(unit, /^ExecStart=\/usr\/bin\/regcredd serve$/m)
  })

  test('of docs/keychain.md, in order, with a real keyring', { skip: tools || skipWithoutKeyring() }, async (t) => {
    const keyring = await startKeyring()
    t.after(() => keyring.close())
    const { DBUS_SESSION_BUS_ADDRESS = '', XDG_RUNTIME_DIR = '' } = keyring.env
    await follow(
      t,
      'docs/keychain.md',
      { env: { DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR }, keyInPlace: true },
      'logged in',
    )
  })

  test('of docs/kubernetes.md, in order, with a real API server', {
    skip: tools || skipWithoutKubernetes(),
  }, async (t) => {
    const kubernetes = await startKubeApiserver()
    t.after(() => kubernetes.close())
    const env = { KUBECONFIG: await kubernetes.kubeconfig('admin') }
    await follow(t, 'docs/kubernetes.md', { env, tls: true }, 'logged in')
    const held = await kubernetes.kubectl(['-n', 'team-a', 'get', 'secret', 'regcred', '-o', 'jsonpath={.data}'])
    assert.match(held, /dockerconfigjson/)
    const handed = ['-n', 'team-a', 'get', 'secret', 'regcred-old', '-o', 'jsonpath={.metadata}']
    assert.match(await kubernetes.kubectl(handed), /"regcredd.io\/credentials":"\{\}"/)
  })
})

describe('commands of a fleet', () => {
  test('of docs/fleet.md, in order, with a real API server', { skip: tools || skipWithoutKubernetes() }, async (t) => {
    const kubernetes = await startKubeApiserver()
    t.after(() => kubernetes.close())
    await follow(t, 'docs/fleet.md', { env: { KUBECONFIG: await kubernetes.kubeconfig('admin') } }, 'logged out')
    const held = await kubernetes.kubectl([
      '-n',
      'regcredd-system',
      'get',
      'secrets',
      '-o',
      'jsonpath={.items[*].type}',
    ])
    assert.equal(held, 'regcredd.io/credential')
  })
})

describe('documents', () => {
  test('README.md is for readers in a hurry', () => {
    assert.ok((documents.get('README.md') ?? '').split('\n').length <= 150)
  })

  test('ARCHITECTURE.md says rightly where things are', async () => {
    const text = documents.get('ARCHITECTURE.md') ?? ''
    const named = [...text.matchAll(/`(\w+)` in `(src\/[\w/-]+\.ts)`/g)]
    assert.ok(named.length >= 14, `${named.length} places`)
    for (const [place, name, path = ''] of named)
      assert.match(await readFile(join(root, path), 'utf8'), new RegExp(`(?:function|const) ${name}\\b`), place)
  })

  test('name no place of the machine they were written on', () => {
    // What stands in root's home on a node is containers' own place for it.
    const foreign = /\/root\/(?!\.config\/containers\/)|\/home\/\w|\/tmp\//
    const found = [...documents].flatMap(([file, text]) => {
      const [hit] = foreign.exec(text) ?? []
      return hit === undefined ? [] : [`${file}: ${hit}`]
    })
    assert.deepEqual(found, [])
  })
})

describe('the test itself', () => {
  test('a command that would touch this machine is not run', () => {
    for (const command of ['mv a /usr/x', 'echo >/etc/passwd', 'a="/var/lib/x"', 'cat </var/log/x'])
      assert.throws(() => refuseOutside(command, ['/sand/box']), /would touch \/(usr|etc|var)/)
    refuseOutside('cat /sand/box/x > /dev/null; curl http://localhost/v1/status "$a/b"', ['/sand/box'])
  })

  test('an answer with another key, word or kind of value has another shape; another number or order has not', () => {
    const shape = shapeOf('{"a": 1, "b": "v2"}')
    assert.equal(shapeOf('{"b":"v10","a":23}'), shape)
    for (const other of ['{"a":1}', '{"a":"x","b":"v2"}', '{"a":1,"b":"w2"}', '{"a":null,"b":"v2"}'])
      assert.notEqual(shapeOf(other), shape, other)
    assert.notEqual(shapeOf('ready'), shapeOf('not ready'))
  })
})

/** What `test/real/pull.test.ts` gives to a real containerd. */
async function hostsTomlOfPullTest(token: string, url: string): Promise<object> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-hosts-'))
  await writeHostsToml(folder, NAME, { url, headers: { 'regcredd-token': token } })
  const text = await readFile(join(folder, NAME, 'hosts.toml'), 'utf8')
  await rm(folder, { recursive: true })
  return plain(text)
}

/** As an object like those of this file: the parser's have no prototype. */
function plain(toml: string): Record<string, unknown> {
  return JSON.parse(JSON.stringify(parse(toml)))
}

/** Does what the document says, from its top to its end; fails at the first command that fails or prints something else. */
async function follow(t: TestContext, file: string, options: SandboxOptions, before?: 'logged in' | 'logged out') {
  const steps = stepsOf(blocks.get(file) ?? [])
  const sandbox = await openSandbox(options)
  t.after(() => sandbox.close())
  if (before === 'logged in') {
    const args = ['login', NAME, '--username', 'ci', '--password-stdin']
    const { code, stderr } = await sandbox.daemon.cli(args, { stdin: words.PASSWORD })
    assert.equal(code, 0, stderr)
  }
  const { code, printed, stderr } = await sandbox.run(steps)
  const last = steps[printed.length - 1]
  const place = last === undefined ? file : where('run' in last ? last.run : last.config)
  assert.equal(code, 0, `${place}: ${printed.at(-1)}\n${stderr}\n${sandbox.daemon.log().slice(-1_000)}`)
  for (const [index, step] of steps.entries()) {
    if (!('run' in step) || step.output === undefined) continue
    assert.equal(shapeOf(printed[index] ?? ''), shapeOf(step.output.text), where(step.run))
  }
  return sandbox
}
