import { sameOrigin } from '../registry/origin.ts'
import type { Pull } from './pull.ts'

const LINK = /^<([^<>]*)>\s*;\s*rel="?next"?$/i

/**
 * Rewrites a `Link` header of a list so that its next page is asked for here: local path, registry named as the caller named it.
 * Gives `undefined` for anything but one `rel="next"` on the registry's own origin, to the same list (distribution-spec § Listing Tags).
 */
export function localLink(link: string, pull: Pull, askedAt: URL): string | undefined {
  const target = LINK.exec(link.trim())?.[1]
  if (target === undefined || !URL.canParse(target, askedAt)) return undefined
  const url = new URL(target, askedAt)
  if (!sameOrigin(url, askedAt) || url.pathname !== askedAt.pathname) return undefined
  url.searchParams.delete('ns')
  if (pull.named === 'ns') url.searchParams.set('ns', pull.host)
  const path =
    pull.named === 'prefix' ? url.pathname.replace('/v2/', `/v2/${pull.host.replace(':', '_')}/`) : url.pathname
  return `<${path}${url.search}>; rel="next"`
}
