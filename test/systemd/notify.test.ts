import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createNotifier } from '../../src/systemd/notify.ts'

const skip = skipReason()

function skipReason(): false | string {
  const missing = [
    ['python3', '--version'],
    ['systemd-notify', '--version'],
  ].filter(([command = '', option = '']) => spawnSync(command, [option]).status !== 0)
  if (missing.length === 0) return false
  const reason = `not here: ${missing.map(([command]) => command).join(', ')}`
  if (process.env['CI'] === 'true') throw new Error(`CI skips nothing: ${reason}`)
  return reason
}

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

async function startReceiver(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'regcredd-notify-'))
  const socket = join(folder, 'notify')
  const child: ChildProcessWithoutNullStreams = spawn('python3', ['-c', RECEIVER, socket])
  t.after(async () => {
    child.kill('SIGKILL')
    await once(child, 'close')
    rmSync(folder, { recursive: true, force: true })
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
  return { socket, waitFor }
}

test('ready and stopping arrive at the service manager', { skip, timeout: 20_000 }, async (t) => {
  const { socket, waitFor } = await startReceiver(t)
  const notifier = createNotifier({ NOTIFY_SOCKET: socket })
  await notifier.ready('serving\nMAINPID=1')
  await notifier.stopping(30_000)
  assert.deepEqual(await waitFor(2), [
    'READY=1 | STATUS=serving MAINPID=1',
    'STOPPING=1 | STATUS=draining | EXTEND_TIMEOUT_USEC=35000000',
  ])
})

test('the watchdog is pinged at once and again until the stop', { skip, timeout: 20_000 }, async (t) => {
  const { socket, waitFor } = await startReceiver(t)
  const notifier = createNotifier({
    NOTIFY_SOCKET: socket,
    WATCHDOG_USEC: '1000000',
    WATCHDOG_PID: String(process.pid),
  })
  assert.equal(notifier.watchdogIntervalMs, 500)
  const keepAlive = setInterval(() => {}, 1000)
  t.after(() => clearInterval(keepAlive))
  notifier.startWatchdog((error) => assert.fail(String(error)))
  assert.deepEqual(await waitFor(3), ['WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1'])
  await notifier.stopping(0)
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

test('a manager that cannot be told fails the start with a reason', { skip }, async () => {
  const notifier = createNotifier({ NOTIFY_SOCKET: '/nonexistent/notify' })
  await assert.rejects(notifier.ready('x'), {
    code: 'INTERNAL',
    message: /systemd cannot be told: systemd-notify ended with 1/,
  })
})
