import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'

const contexts = new Map<string, SecureContext>()

/** The system's authorities and those of the PEM text. */
export function authoritiesWith(ca: string): string[] {
  return [...getCACertificates('default'), ca]
}

/**
 * Trusts the system's authorities and those of the PEM text, one of the configuration's: there is one context for each text and all
 * connections, since reading a hundred authorities holds everything up for some 40 ms.
 */
export function trusting(ca: string): SecureContext {
  const context = contexts.get(ca) ?? createSecureContext({ ca: authoritiesWith(ca) })
  contexts.set(ca, context)
  return context
}
