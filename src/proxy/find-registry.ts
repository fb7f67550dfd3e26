import type { Registry } from '../config/config.ts'
import { RegcreddError } from '../errors.ts'
import { matchesPattern } from '../registry/repository-pattern.ts'

/**
 * The listed registry that a pull belongs to: the entry of its host whose path is the longest prefix of the repository, by whole segments.
 * @throws REGISTRY_UNLISTED, REPOSITORY_UNLISTED
 */
export function findRegistry(registries: readonly Registry[], host: string, repository: string): Registry {
  const ofHost = registries.filter((registry) => registry.host === host)
  if (ofHost.length === 0) throw new RegcreddError('REGISTRY_UNLISTED')
  const [longest] = ofHost
    .filter(({ path }) => path === '' || repository === path || repository.startsWith(`${path}/`))
    .sort((a, b) => b.path.length - a.path.length)
  if (longest === undefined) throw new RegcreddError('REPOSITORY_UNLISTED')
  if (longest.repositories !== undefined && !matchesPattern(repository, longest.repositories)) {
    throw new RegcreddError('REPOSITORY_UNLISTED')
  }
  return longest
}
