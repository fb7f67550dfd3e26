import { RegcreddError } from './errors.ts'
import type { Logger } from './log.ts'

/** sysexits.h EX_SOFTWARE; a service manager starts the daemon again. */
const EXIT_CODE = 70

/** SIGUSR1 and NODE_OPTIONS can open a debugger, which reads every password. Throws CONFIG_INVALID. */
export function refuseDebugging(environment: NodeJS.ProcessEnv): void {
  process.on('SIGUSR1', () => undefined)
  if (!environment['NODE_OPTIONS']) return
  throw new RegcreddError(
    'CONFIG_INVALID',
    'NODE_OPTIONS is set and could open a debugger or load foreign code; unset it',
  )
}

/**
 * Ends the process on an error or a rejection that nothing caught, and tells it by the log. Node would print the error with all
 * that hangs on it, which may be a request with its headers; the log shows no more than its kind and where it came from.
 */
export function endOnUncaught(log: Logger): Disposable {
  const onUncaught = (thrown: unknown) => {
    log.error({ err: thrown }, 'an error that nothing caught; the daemon ends')
    process.exit(EXIT_CODE)
  }
  process.on('uncaughtException', onUncaught)
  return { [Symbol.dispose]: () => void process.off('uncaughtException', onUncaught) }
}
