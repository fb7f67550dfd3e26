import { userInfo } from 'node:os'

/** Who acts, for the audit: the user's name, behind sudo too. It is his own word; a unix socket tells the daemon no uid. */
export function actorHeader(env: NodeJS.ProcessEnv): Record<string, string> {
  const name = env['SUDO_USER'] || userName()
  return /^[\x21-\x7e]{1,64}$/.test(name) ? { 'regcredd-actor': name } : {}
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A container's uid may have no entry in /etc/passwd.
    return `uid-${process.getuid?.()}`
  }
}
