import { createTokenDoor } from '../../src/admin/door.ts'
import { createFailureLimit } from '../../src/admin/failure-limit.ts'
import type { AdminParts } from '../../src/admin/parts.ts'
import { makeAdminToken } from '../../src/admin-token.ts'
import { createRefusals } from '../../src/refusals.ts'
import { createDesk } from './kit.ts'

/** The admin app behind the door that wants tokens; what that door does not depend on is TLS. */
export function createTokenDesk(admin: Partial<AdminParts> = {}) {
  const clock = { nowMs: 0 }
  const refused: Record<string, string | number>[] = []
  const refusals = createRefusals(
    (detail) => void refused.push(detail),
    () => clock.nowMs,
  )
  const desk = createDesk({
    admin,
    door: ({ tokens, kubernetesCallers }) =>
      createTokenDoor({
        hosts: ['127.0.0.1', 'node-1.corp.example', 'fd00::1'],
        tokens,
        failures: createFailureLimit(() => clock.nowMs),
        refusals,
        nowMs: () => clock.nowMs,
        ...(kubernetesCallers !== undefined && { kubernetesCallers }),
      }),
  })
  return {
    ...desk,
    clock,
    refused,
    refusals,
    /** Makes a token, and gives the header that shows it. */
    async tokenFor(scopes: string[], ttlSeconds = 3_600, name: string | null = 'ci'): Promise<string> {
      const { id, sha256, token } = makeAdminToken()
      await desk.parts.tokens.add({ id, sha256, name, scopes, ttlSeconds })
      return `Bearer ${token.reveal()}`
    },
  }
}

export const idOf = (header: string) => header.split('_')[1] ?? ''
