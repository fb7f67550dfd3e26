import { spawn } from 'node:child_process'
import { RegcreddError } from '../errors.ts'

const CALL_TIMEOUT_MS = 5_000
const MIN_PING_MS = 500
const MAX_PING_MS = 60_000

/** Tells the service manager how the daemon fares (sd_notify(3)). Every method resolves at once where nobody asked to be told. */
export type Notifier = {
  /** How often a ping is due, or `undefined` without a watchdog. */
  readonly watchdogIntervalMs: number | undefined
  /** Start-up is over. Throws INTERNAL when the manager cannot be told: it would stop the daemon at TimeoutStartSec. */
  ready: (status: string) => Promise<void>
  /** The stop begins and may last `drainTimeoutMs`, even where that is longer than TimeoutStopSec. Ends the pings. */
  stopping: (drainTimeoutMs: number) => Promise<void>
  /**
   * Pings the watchdog from a timer of the event loop, at once and then at each interval, until `stopping`. A failing ping goes to
   * `onError`; it is the manager that acts on missing ones.
   */
  startWatchdog: (onError: (error: unknown) => void) => void
}

/**
 * Takes NOTIFY_SOCKET and the watchdog's variables out of `environment`, so that no child inherits them: a session bus that a keyring
 * starts would otherwise report READY and STOPPING in the daemon's name. Node has no unix datagrams; `systemd-notify` sends them
 * (7.5 ms a call), which is why the unit needs NotifyAccess=all. `command` is that program, a path or a name in /usr/bin.
 */
export function createNotifier(environment: NodeJS.ProcessEnv, command = 'systemd-notify'): Notifier {
  const socket = environment['NOTIFY_SOCKET']
  const watchdogIntervalMs = socket === undefined ? undefined : pingInterval(environment)
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete environment[name]
  const tell = async (...assignments: string[]) => {
    if (socket !== undefined) await systemdNotify(command, socket, assignments)
  }
  let timer: NodeJS.Timeout | undefined
  let isPinging = false
  return {
    watchdogIntervalMs,
    ready: (status) => tell('READY=1', statusLine(status)),
    stopping: (drainTimeoutMs) => {
      clearInterval(timer)
      return tell('STOPPING=1', statusLine('draining'), `EXTEND_TIMEOUT_USEC=${(drainTimeoutMs + 5_000) * 1000}`)
    },
    startWatchdog: (onError) => {
      if (watchdogIntervalMs === undefined) return
      const ping = () => {
        if (isPinging) return
        isPinging = true
        tell('WATCHDOG=1')
          .catch(onError)
          .finally(() => {
            isPinging = false
          })
      }
      ping()
      timer = setInterval(ping, watchdogIntervalMs).unref()
    },
  }
}

/** Half of the manager's patience (sd_watchdog_enabled(3)), within bounds. */
function pingInterval(environment: NodeJS.ProcessEnv): number | undefined {
  const { WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment
  if (usec === undefined || !/^[0-9]{1,15}$/.test(usec) || Number(usec) === 0) return undefined
  if (pid !== undefined && pid !== String(process.pid)) return undefined
  return Math.min(MAX_PING_MS, Math.max(MIN_PING_MS, Math.floor(Number(usec) / 2000)))
}

function statusLine(status: string): string {
  return `STATUS=${status.replace(/[\0-\x1f\x7f-\x9f]/g, ' ').slice(0, 200)}`
}

function systemdNotify(command: string, socket: string, assignments: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, assignments, {
      env: { NOTIFY_SOCKET: socket, PATH: '/usr/bin:/bin' },
      stdio: 'ignore',
      timeout: CALL_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    })
    child.once('error', (cause) => reject(notifyFailed('systemd-notify cannot be run', cause)))
    child.once('exit', (code, signal) => {
      if (code === 0) resolve()
      else reject(notifyFailed(`systemd-notify ended with ${code ?? signal}`))
    })
  })
}

function notifyFailed(what: string, cause?: unknown): RegcreddError {
  return new RegcreddError('INTERNAL', `systemd cannot be told: ${what}`, { cause })
}
