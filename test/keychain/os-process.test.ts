import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { createHelperProcess, helperScript } from '../../src/keychain/os-process.ts'
import { eventually } from '../helpers/eventually.ts'
import { type Keyring, skipWithoutKeyring, startKeyring } from '../helpers/keyring.ts'
import { tempFolder } from './temp-folder.ts'

const request = { do: 'get', service: 'regcredd-test', account: 'none' } as const

it('the script lies beside the module, under the extension that the module has', () => {
  assert.equal(helperScript(pathToFileURL('/opt/regcredd/regcredd.mjs').href), '/opt/regcredd/os-helper.mjs')
  assert.equal(helperScript(pathToFileURL('/src/keychain/os-process.ts').href), '/src/keychain/os-helper.ts')
})

it('without keytar the error says how to get it', async (t) => {
  const script = join(await tempFolder(t), 'os-helper.ts')
  await copyFile(helperScript(import.meta.resolve('../../src/keychain/os-process.ts')), script)
  await assert.rejects(start(t, { script }).call(request), {
    code: 'KEYCHAIN_UNAVAILABLE',
    message: /keytar is not installed; install libsecret-1-dev/,
  })
})

it('a process that cannot be made is a store that is away', async (t) => {
  await assert.rejects(start(t, { script: 'no\0path' }).call(request), {
    code: 'KEYCHAIN_UNAVAILABLE',
    message: /cannot be started/,
  })
})

it('a helper that answers slowly is killed at the deadline, and the next call gets a fresh one', async (t) => {
  const helper = start(t, { script: await fake(t, 'if (count() > 1) answer()'), timeoutMs: 1_000 })
  const began = performance.now()
  await assert.rejects(helper.call(request), { code: 'KEYCHAIN_UNAVAILABLE', message: /did not answer within 1000 ms/ })
  // Not only when a start would have been given up.
  assert.ok(performance.now() - began < 10_000)
  assert.equal(helper.pid(), undefined)
  assert.equal(await helper.call(request), 'call 2')
})

it('a call is made once more, and only once, after a crash', async (t) => {
  const once = start(t, {
    script: await fake(t, "if (count() === 1) process.kill(process.pid, 'SIGSEGV')\nelse answer()"),
  })
  assert.equal(await once.call(request), 'call 2')
  const script = await fake(t, "if (count() <= 2) process.kill(process.pid, 'SIGSEGV')\nelse answer()")
  const twice = start(t, { script })
  await assert.rejects(twice.call(request), { code: 'KEYCHAIN_UNAVAILABLE' })
  assert.equal(await twice.call(request), 'call 3')
})

it('calls wait for each other and are answered each with its own', async (t) => {
  const helper = start(t, { script: await fake(t, 'setTimeout(() => answer(), 20)\ncount()') })
  const answers = await Promise.all([1, 2, 3, 4].map(() => helper.call(request)))
  assert.deepEqual(answers, ['call 1', 'call 2', 'call 3', 'call 4'])
})

it('a helper that was killed between two calls is replaced', async (t) => {
  const helper = start(t, { script: await fake(t, 'count()\nanswer()') })
  await helper.call(request)
  const first = helper.pid()
  assert.ok(first !== undefined)
  process.kill(first, 'SIGKILL')
  await eventually('it has ended', () => !isAlive(first))
  assert.equal(await helper.call(request), 'call 2')
})

it('closing waits for its end even where nothing else keeps the process alive', async (t) => {
  const module = import.meta.resolve('../../src/keychain/os-process.ts')
  const script = await fake(t, 'count()\nanswer()')
  const code = `import { createHelperProcess } from ${JSON.stringify(module)}
const helper = createHelperProcess({ timeoutMs: 30_000, environment: process.env, script: ${JSON.stringify(script)} })
await helper.call(${JSON.stringify(request)})
await helper.close()
process.stdout.write('closed')`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'ignore'] })
  const [said, [status]] = await Promise.all([text(owner.stdout), once(owner, 'close')])
  assert.deepEqual([status, said], [0, 'closed'])
})

describe('the real helper', { skip: skipWithoutKeyring() }, () => {
  let keyring: Keyring
  before(async () => {
    keyring = await startKeyring()
  })
  after(() => keyring?.close())

  it('ends when the daemon is killed, even in the midst of a call that hangs', async (t) => {
    const script = join(import.meta.dirname, 'os-owner.ts')
    const owner = spawn(process.execPath, [script], { env: keyring.env, stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(owner.stdout, 'data')
    const pid = Number(line)
    assert.ok(isAlive(pid))
    keyring.stop()
    t.after(() => keyring.resume())
    await sleep(100)
    owner.kill('SIGKILL')
    await eventually('it has ended', () => !isAlive(pid))
  })

  it('lives on when its group is told to end, as long as the daemon does', async (t) => {
    const helper = start(t, { environment: keyring.env })
    await helper.call(request)
    const pid = helper.pid()
    assert.ok(pid !== undefined)
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.kill(pid, signal)
    await sleep(50)
    await helper.call(request)
    assert.equal(helper.pid(), pid)
    await helper.close()
    assert.ok(!isAlive(pid))
  })
})

type Options = { script?: string; timeoutMs?: number; environment?: NodeJS.ProcessEnv }

function start(t: TestContext, { timeoutMs = 30_000, environment = process.env, ...script }: Options) {
  const helper = createHelperProcess({ timeoutMs, environment, ...script })
  t.after(() => helper.close())
  return helper
}

/** A helper that does `body` for each message; `count()` numbers the calls over all processes, `answer` tells that number. */
async function fake(t: TestContext, body: string): Promise<string> {
  const folder = await tempFolder(t)
  const script = join(folder, 'helper.mjs')
  await writeFile(join(folder, 'calls'), '')
  await writeFile(
    script,
    `import { appendFileSync, readFileSync } from 'node:fs'
process.on('disconnect', () => process.exit())
const calls = ${JSON.stringify(join(folder, 'calls'))}
const number = () => readFileSync(calls).length
const count = () => { appendFileSync(calls, '.'); return number() }
const answer = () => process.send({ texts: ['call ' + number()] })
process.on('message', () => { ${body} })
process.send({ loaded: true })
`,
  )
  return script
}

/** Whether it runs; a process that has ended and waits for its parent to notice does not. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/\) [ZX] /.test(stat)
  } catch {
    return false
  }
}
