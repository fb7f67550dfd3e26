import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createNotifier } from '../../src/systemd/notify.ts'
import { needTool, skipWithout } from '../helpers/tools.ts'

const skip = skipWithout('python3', 'systemd-notify')

/** What systemd does at the other end: receives datagrams and closes the descriptors that barriers come with. */
const RECEIVER = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    data, fds, _, _ = socket.recv_fds(s, 4096, 4)
    for fd in fds: os.close(fd)
    if data != b'BARRIER=1': print(data.decode().replace('\\n', ' | '), flush=True)
`

/** The daemon's own choice where the machine has it; else a script for the one in the set-up's cache, which needs its library path. */
function notifyCommand(t: TestContext): string | undefined {
  const { command, env } = needTool('systemd-notify')
  if (dirname(command) === '/usr/bin' || dirname(command) === '/bin') return undefined
  const script = join(tempFolder(t), 'systemd-notify')
  const libraries = env['LD_LIBRARY_PATH'] ?? ''
  writeFileSync(script, `#!/bin/sh\nLD_LIBRARY_PATH='${libraries}' exec '${command}' "$@"\n`, { mode: 0o700 })
  return script
}

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'regcredd-notify-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function startReceiver(t: TestContext) {
  const socket = join(tempFolder(t), 'notify')
  const python = needTool('python3')
  const child: ChildProcessWithoutNullStreams = spawn(python.command, ['-c', RECEIVER, socket], { env: python.env })
  t.after(async () => {
    child.kill('SIGKILL')
    await once(child, 'close')
  })
  const lines: string[] = []
  let arrived = () => {}
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    lines.push(...text.split('\n').filter((line) => line !== ''))
    arrived()
  })
  const waitFor = async (count: number) => {
    while (lines.length < count + 1) {
      await new Promise<void>((resolve) => {
        arrived = resolve
      })
    }
    return lines.slice(1, count + 1)
  }
  await waitFor(0)
  return { socket, waitFor, command: notifyCommand(t) }
}

test('ready and stopping arrive at the service manager', { skip, timeout: 120_000 }, async (t) => {
  const { socket, waitFor, command } = await startReceiver(t)
  const notifier = createNotifier({ NOTIFY_SOCKET: socket }, command)
  await notifier.ready('serving\nMAINPID=1')
  await notifier.stopping(30_000)
  assert.deepEqual(await waitFor(2), [
    'READY=1 | STATUS=serving MAINPID=1',
    'STOPPING=1 | STATUS=draining | EXTEND_TIMEOUT_USEC=35000000',
  ])
})

test('the watchdog is pinged at once and again until the stop', { skip, timeout: 120_000 }, async (t) => {
  const { socket, waitFor, command } = await startReceiver(t)
  const notifier = createNotifier(
    {
      NOTIFY_SOCKET: socket,
      WATCHDOG_USEC: '1000000',
      WATCHDOG_PID: String(process.pid),
    },
    command,
  )
  assert.equal(notifier.watchdogIntervalMs, 500)
  const keepAlive = setInterval(() => {}, 1000)
  t.after(() => clearInterval(keepAlive))
  // A ping that is under way at the end finds nobody; that is no failure.
  const failures: unknown[] = []
  notifier.startWatchdog((error) => failures.push(error))
  assert.deepEqual(await waitFor(3), ['WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1'])
  await notifier.stopping(0)
  assert.deepEqual(failures, [])
})

test('the variables are taken out of the environment, so that no child speaks in our name', () => {
  const environment = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '1', WATCHDOG_PID: '1', PATH: '/bin' }
  createNotifier(environment)
  assert.deepEqual(environment, { PATH: '/bin' })
})

test('without a service manager nothing is sent and nothing is started', async () => {
  const notifier = createNotifier({ WATCHDOG_USEC: '1000000' })
  notifier.startWatchdog((error) => assert.fail(String(error)))
  await notifier.ready('x')
  await notifier.stopping(0)
  assert.equal(notifier.watchdogIntervalMs, undefined)
})

test('the interval is half of what the manager waits, within bounds, and only for our own process', () => {
  const intervalOf = (usec: string, pid = String(process.pid)) =>
    createNotifier({ NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: usec, WATCHDOG_PID: pid }).watchdogIntervalMs
  assert.equal(intervalOf('30000000'), 15_000)
  assert.equal(intervalOf('1'), 500)
  assert.equal(intervalOf('99999999999999'), 60_000)
  for (const usec of ['0', '', '-1', '1e9', 'x']) assert.equal(intervalOf(usec), undefined, usec)
  assert.equal(intervalOf('30000000', '1'), undefined)
})

test('a manager that cannot be told fails the start with a reason', { skip }, async (t) => {
  const notifier = createNotifier({ NOTIFY_SOCKET: '/nonexistent/notify' }, notifyCommand(t))
  await assert.rejects(notifier.ready('x'), {
    code: 'INTERNAL',
    message: /systemd cannot be told: systemd-notify ended with 1/,
  })
})
