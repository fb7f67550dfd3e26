import type { Config } from '../config/config.ts'
import { usualShape } from '../rotation/generate.ts'
import type { RotationPolicy } from '../rotation/policy.ts'

const DAY_SECONDS = 86_400

/** What the configuration says of one registry's rotations; the defaults for one that is not listed any more. */
export function policyOf({ registries }: Pick<Config, 'registries'>, key: string): RotationPolicy {
  const registry = registries.find(({ name }) => name === key)
  if (registry === undefined) {
    return {
      hook: undefined,
      generate: usualShape,
      graceSeconds: DAY_SECONDS,
      rotateEverySeconds: undefined,
      warnBeforeSeconds: 14 * DAY_SECONDS,
      canary: undefined,
    }
  }
  return { ...registry.rotation, hook: registry.rotation.hook, canary: registry.canary }
}
