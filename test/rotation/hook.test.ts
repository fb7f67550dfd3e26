import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { runHook } from '../../src/rotation/hook.ts'
import { hookLine, readAnswer, safeNote } from '../../src/rotation/hook-text.ts'
import type { HookInput } from '../../src/rotation/ports.ts'
import { Secret } from '../../src/secret.ts'

const OLD = 'Old-Pass/word+1234'
const NEW = 'nEw#Passw0rd=5678'
const input: HookInput = {
  action: 'apply',
  registry: 'registry.corp.example/team',
  rotation: 'r-1',
  username: 'robot$team+ci',
  email: undefined,
  oldUsername: 'robot$team+ci',
  oldSecret: new Secret(OLD),
  newSecret: new Secret(NEW),
  madeBy: undefined,
}
const never = new AbortController().signal

async function inFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'regcredd-hook-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

/** Runs a shell script as a hook. */
async function play(
  t: TestContext,
  script: string,
  { timeoutMs = 60_000, signal = never, action = 'apply' as const } = {},
) {
  const folder = await inFolder(t)
  const file = join(folder, 'hook')
  await writeFile(file, `#!/bin/sh\n${script}\n`)
  await chmod(file, 0o700)
  const end = await runHook({ command: [file, folder], timeoutMs }, { ...input, action }, signal)
  return { folder, end, read: (name: string) => readFile(join(folder, name), 'utf8') }
}

test('a hook gets one line of JSON on stdin, and nothing of it in its arguments or environment', async (t) => {
  process.env['REGCREDD_TEST_TOKEN'] = 'not for hooks'
  t.after(() => delete process.env['REGCREDD_TEST_TOKEN'])
  const { end, read } = await play(
    t,
    'cat > "$1/stdin"; tr "\\0" "\\n" < /proc/$$/environ > "$1/env"; tr "\\0" " " < /proc/$$/cmdline > "$1/argv"',
  )
  assert.equal(end.outcome, 'done')
  const { newSecret, oldSecret, ...rest } = JSON.parse(await read('stdin'))
  assert.deepEqual([newSecret, oldSecret], [NEW, OLD])
  assert.deepEqual(rest, {
    version: 1,
    action: 'apply',
    registry: 'registry.corp.example/team',
    rotation: 'r-1',
    username: 'robot$team+ci',
    oldUsername: 'robot$team+ci',
  })
  const outside = `${await read('env')}${await read('argv')}`
  for (const secret of [OLD, NEW, 'not for hooks', 'NOTIFY_SOCKET']) assert.ok(!outside.includes(secret), secret)
})

for (const [script, expected] of [
  ['exit 0', { outcome: 'done', made: undefined, note: 'the hook ended with 0' }],
  ['exit 75', { outcome: 'retry', note: 'the hook ended with 75' }],
  ['echo "note: no such robot" >&2; exit 77', { outcome: 'refused', note: 'the hook ended with 77: no such robot' }],
  ['exit 1', { outcome: 'unknown', isInFlight: false, note: 'the hook ended with 1' }],
  ['kill -9 $$', { outcome: 'unknown', isInFlight: true, note: 'the hook ended with SIGKILL' }],
  [
    'echo all is well',
    {
      outcome: 'unknown',
      isInFlight: false,
      note: 'the hook ended with 0; what it printed is not the JSON that it may be',
    },
  ],
] as const) {
  test(`a hook that does "${script}" is ${expected.outcome}`, async (t) => {
    assert.deepEqual((await play(t, script)).end, expected)
  })
}

test('a hook that is not there has changed nothing', async () => {
  const end = await runHook({ command: ['/no/such/hook'], timeoutMs: 1_000 }, input, never)
  assert.deepEqual(end, { outcome: 'retry', note: 'the hook cannot be started: ENOENT' })
})

/** In a hook's script: what would tell, once the test says `go`, that it was not killed; it ends with the test's folder. */
const SURVIVOR = '(until [ -e "$1/go" ]; do [ -d "$1" ] || exit; sleep 0.05; done; touch "$1/late") &'

async function assertNoSurvivor(folder: string): Promise<void> {
  await writeFile(join(folder, 'go'), '')
  await sleep(1_200)
  await assert.rejects(readFile(join(folder, 'late')), { code: 'ENOENT' })
}

test('a hook that hangs is killed with all that it has started, and what it did is unknown', async (t) => {
  const { end, folder } = await play(t, `${SURVIVOR} sleep 60`, { timeoutMs: 300 })
  assert.deepEqual(end, { outcome: 'unknown', isInFlight: true, note: 'the hook was killed after 300 ms' })
  await assertNoSurvivor(folder)
})

test('what a hook leaves behind is killed when it ends, and does not hold it up', async (t) => {
  // From its last act on: how long it takes to start is the machine's affair.
  const { end, folder, read } = await play(t, `${SURVIVOR} date +%s%3N > "$1/ended"; exit 0`)
  const knownAtMs = Date.now()
  assert.equal(end.outcome, 'done')
  assert.ok(knownAtMs - Number(await read('ended')) < 900)
  await assertNoSurvivor(folder)
})

test('a daemon that stops kills its hook', async (t) => {
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 100)
  const { end } = await play(t, 'sleep 60', { signal: stop.signal })
  assert.deepEqual(end, {
    outcome: 'unknown',
    isInFlight: true,
    note: 'the hook was killed when the rotation was stopped',
  })
})

test('a hook that floods its output is not kept, and that is no end of it', async (t) => {
  const { end } = await play(t, 'head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 77')
  assert.deepEqual(end, { outcome: 'refused', note: 'the hook ended with 77' })
})

test('an answer that is longer than is read is no answer, and not taken for none', async (t) => {
  const { end } = await play(t, 'printf %s "{\\"secret\\":\\"$(head -c 20000 /dev/zero | tr "\\0" x)\\"}"')
  assert.deepEqual([end.outcome, 'made' in end], ['unknown', false])
})

test('a hook that prints the secrets in any spelling does not get them into its note', async (t) => {
  const spellings = [
    `cat | tr -d '\\n'`,
    `sed 's/.*newSecret":"\\([^"]*\\)".*/\\1/' | base64 -w0`,
    `sed 's/.*oldSecret":"\\([^"]*\\)".*/\\1/' | rev`,
    `sed 's/.*newSecret":"\\([^"]*\\)".*/\\1/' | od -An -tx1 | tr -d ' \\n'`,
    `sed 's/.*newSecret":"\\(....\\)\\([^"]*\\)".*/\\2/'`,
  ]
  for (const spelling of spellings) {
    const { end } = await play(
      t,
      `note="$(${spelling})"; echo "$note"; echo "$note" >&2; echo "note: sent $note" >&2; exit 1`,
    )
    assert.equal(end.note, 'the hook ended with 1: its note is withheld, for it may hold a secret', spelling)
  }
})

test('no note ever holds six characters of a secret in a row, or a long run of anything', () => {
  const secret = fc.string({ minLength: 6, maxLength: 40 })
  fc.assert(
    fc.property(secret, fc.string(), fc.string(), fc.nat(30), (text, before, after, cut) => {
      const pair = { oldSecret: new Secret('unrelated-old'), newSecret: new Secret(text) }
      const note = safeNote(`noise ${text}\nnote: ${before}${text.slice(cut)}${after}\n`, pair)
      for (let start = 0; start + 6 <= text.length; start += 1) {
        const piece = text.slice(start, start + 6)
        if (/^[\x21-\x7e]{6}$/.test(piece) && !/withheld|secret|may hold/.test(piece)) {
          assert.ok(!note.replace(': its note is withheld, for it may hold a secret', '').includes(piece), note)
        }
      }
      assert.doesNotMatch(note, /[A-Za-z0-9+/=_~.-]{20}/)
      assert.ok(note.length < 200)
    }),
  )
})

test('an answer is taken only in its exact form, and nothing of another is kept', () => {
  assert.equal(readAnswer(' \n'), undefined)
  const made = readAnswer('{"secret":"gldt-1","username":"u","expiresAt":"2027-01-01T00:00:00+01:00"}')
  assert.ok(made !== undefined && made !== 'malformed')
  assert.deepEqual([made.secret.reveal(), made.username, made.expiresAt], ['gldt-1', 'u', '2026-12-31T23:00:00.000Z'])
  for (const bad of [
    'x',
    '[]',
    '{}',
    '{"secret":""}',
    '{"secret":1}',
    '{"secret":"a","more":1}',
    '{"secret":"a","expiresAt":"soon"}',
    '{"secret":"a\\n"}',
    '{"secret":"\\ud800"}',
    '{"secret":"a","username":"b:c"}',
    '{"secret":"a","username":"b\\nc"}',
    `{"secret":"a","username":"${'b'.repeat(256)}"}`,
  ])
    assert.equal(readAnswer(bad), 'malformed', bad)
})

/** Any code points, also what no text should hold; fast-check's own unit for these takes seconds to set up. */
const anyText = fc.array(fc.nat(0x10ffff)).map((codes) => String.fromCodePoint(...codes))

test('whatever is in the secrets, a hook reads one line that is JSON', () => {
  fc.assert(
    fc.property(anyText, (secret) => {
      const line = hookLine({ ...input, newSecret: new Secret(secret) })
      assert.equal(line.indexOf('\n'), line.length - 1)
      assert.equal(JSON.parse(line).newSecret, secret)
    }),
  )
})
