import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { leaves, table } from '../../src/cli/table.ts'
import { paintFor, printable } from '../../src/cli/terminal.ts'
import { type FakeAdmin, startFakeAdmin } from './fake-admin.ts'
import { mainPath } from './regcredd.ts'
import { skipWithoutTerminal } from './terminal-process.ts'

const skip = skipWithoutTerminal()

describe('on a real terminal', { skip }, () => {
  let admin: FakeAdmin
  before(async () => {
    admin = await startFakeAdmin({
      'PUT /v1/registries/reg.example.com/credential': () => ({
        body: { host: 'reg.example.com', username: 'ci', version: 'v1', seq: 1 },
      }),
      'GET /v1/registries': () => ({ body: { registries: [] } }),
    })
  })
  after(() => admin?.close())

  /** Runs a command on a pseudo-terminal and types `keys` once `until` is shown. */
  async function onTerminal(args: string[], env: Record<string, string>, keys = '', until = '') {
    const line = [process.execPath, mainPath, '--socket', admin.socket, ...args].join(' ')
    const { PATH = '' } = process.env
    const child = spawn('script', ['-qec', line, '/dev/null'], {
      env: { PATH, TERM: 'xterm', ...env },
      timeout: 60_000,
    })
    let shown = ''
    let hasTyped = false
    child.stdout.on('data', (chunk) => {
      shown += chunk
      if (hasTyped || until === '' || !shown.includes(until)) return
      hasTyped = true
      child.stdin.write(keys)
    })
    const [code] = await once(child, 'close')
    return { code, shown }
  }
  const login = ['login', 'reg.example.com', '--username', 'ci']

  test('the password is asked for and not echoed; backspace and line kill work', async () => {
    admin.seen = []
    const { code, shown } = await onTerminal(login, {}, 'wrong\u0015huntr\u007fer2\r', 'Password of ci')
    assert.equal(code, 0)
    assert.deepEqual(admin.seen[0]?.body, { username: 'ci', password: 'hunter2', verify: true })
    assert.match(shown, /^Password of ci at reg\.example\.com: \r\n/)
    assert.ok(!shown.includes('hunter2') && !shown.includes('wrong'))
  })

  // A test that types at once would notice only now and then.
  test('the terminal is silent and Ctrl-C is ours before the prompt is shown', async () => {
    const tell = `const { write } = process.stderr
      process.stderr.write = (text) => write.call(process.stderr, text.startsWith('Password') ? (process.stdin.isRaw ? '<raw>' : '<not raw>') + text : text)`
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tell)}` }
    const { shown } = await onTerminal(login, env, '\r', 'Password of ci')
    assert.match(shown, /^<raw>Password of ci/)
  })

  test('Ctrl-C at the prompt ends with 64 and asks nobody', async () => {
    admin.seen = []
    const { code } = await onTerminal(login, {}, 'hun\u0003', 'Password of ci')
    assert.deepEqual([code, admin.seen], [64, []])
  })

  test('tables are coloured, but never with NO_COLOR or on a terminal that cannot', async () => {
    const colour = '\u001b['
    assert.ok((await onTerminal(['list'], {})).shown.includes(colour))
    assert.ok(!(await onTerminal(['list'], { NO_COLOR: '1', FORCE_COLOR: '1' })).shown.includes(colour))
    assert.ok(!(await onTerminal(['list'], { TERM: 'dumb' })).shown.includes(colour))
  })
})

test('a table lines up whatever its cells hold, and ends no line with a blank', () => {
  const plain = paintFor({ isTTY: false } as NodeJS.WriteStream, {})
  const lines = table(
    ['A', 'LONG HEAD', 'C'],
    [
      ['xxxx', { text: 'y', tone: 'red' }, ''],
      ['\u001b', 'z', 'end'],
    ],
    plain,
  )
  assert.deepEqual(lines.split('\n'), ['A       LONG HEAD  C', 'xxxx    y', '\\u001b  z          end'])
})

test('colour does not shift the columns', () => {
  const coloured = paintFor({ isTTY: true } as NodeJS.WriteStream, {})
  const plain = paintFor({ isTTY: true } as NodeJS.WriteStream, { NO_COLOR: '1' })
  const rows = [[{ text: 'abc', tone: 'green' as const }, 'x']]
  const stripped = table(['STATE', 'X'], rows, coloured).replaceAll(/\u001b\[[0-9;]*m/g, '')
  assert.equal(stripped, table(['STATE', 'X'], rows, plain))
})

test('leaves of a value are told by their path', () => {
  assert.deepEqual(leaves({ a: { b: 1, c: [] }, d: null, e: ['x', 'y'], f: [{ g: true }] }), [
    ['a.b', '1'],
    ['a.c', '-'],
    ['d', '-'],
    ['e', 'x, y'],
    ['f.0.g', 'true'],
  ])
})

test('printable text keeps letters of all scripts', () => assert.equal(printable('Ünïcode 日本 ✓'), 'Ünïcode 日本 ✓'))
