import type { ConfigurationOptions, RequestContext, ResponseContext } from '@kubernetes/client-node'
import { type Answer, faultOf } from './fault.ts'
import type { Client, Connection, Kubeconfig } from './kubeconfig.ts'

/** For one call, where nobody says otherwise. */
export const CALL_TIMEOUT_MS = 10_000

/** Makes one call to the API server, within the time limit; gives its value or why there is none. Never throws. */
export type Call = <T>(
  signal: AbortSignal,
  act: (connection: Connection, options: ConfigurationOptions, limited: AbortSignal) => Promise<T>,
) => Promise<Answer<T>>

export function createCall(kubeconfig: Kubeconfig, timeoutMs: number): Call {
  return async (signal, act) => {
    const limit = limitBy(signal, timeoutMs)
    const limited = limit.signal
    try {
      // Raced, since the client gives the signal to the request only: a credential plugin of the kubeconfig may hang before it.
      const value = await raced(limited, async () => {
        const connection = await kubeconfig.connect()
        return act(connection, withSignal(connection.client, limited), limited)
      })
      return { ok: true, value }
    } catch (thrown) {
      return { ok: false, fault: faultOf(thrown, signal) }
    } finally {
      limit.end()
    }
  }
}

/** As AbortSignal.any and AbortSignal.timeout, which would both outlive the call: with thousands of calls that is a lot of memory. */
function limitBy(signal: AbortSignal, timeoutMs: number): { signal: AbortSignal; end: () => void } {
  const limit = new AbortController()
  const abort = () => limit.abort(signal.reason)
  const expire = () => limit.abort(new DOMException('the call took too long', 'TimeoutError'))
  const timer = setTimeout(expire, timeoutMs)
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return {
    signal: limit.signal,
    end: () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    },
  }
}

/** The client has no parameter for a signal; a middleware may set one. */
function withSignal({ Observable }: Client, signal: AbortSignal): ConfigurationOptions {
  return {
    middleware: [
      {
        pre(context: RequestContext) {
          context.setSignal(signal)
          return new Observable(Promise.resolve(context))
        },
        post: (context: ResponseContext) => new Observable(Promise.resolve(context)),
      },
    ],
    middlewareMergeStrategy: 'append',
  }
}

/** What `act` gives, or the signal's reason as soon as it is aborted. */
export async function raced<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([aborted, act()])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
