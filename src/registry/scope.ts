/**
 * The one scope to ask a token server for, so that `repository` can be pulled; undefined: send none. `asked` is the scope of the
 * challenge. A repository scope is always ours (GHCR names a placeholder, others ask for push too); one of another kind is
 * taken as it stands (ECR Public: `aws`); an empty one is left out (GCR refuses `scope=`). Never two: containerd#9648.
 */
export function pullScope(repository: string, asked: string | undefined): string | undefined {
  if (asked?.trim() === '') return undefined
  const isOfAnotherKind = asked !== undefined && !asked.split(' ').some((part) => /^repository[:(]/i.test(part))
  return isOfAnotherKind ? asked : `repository:${repository}:pull`
}
