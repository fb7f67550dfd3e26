/**
 * The one scope to ask a token server for, so that `repository` can be pulled; undefined: send none. `asked` is the scope of the
 * challenge. A repository scope is always ours (GHCR names a placeholder, others ask for push too); one of another kind is
 * taken as it stands (ECR Public: `aws`); an empty one is left out (GCR refuses `scope=`). Never two: containerd#9648.
 */
export function pullScope(repository: string, asked: string | undefined): string | undefined {
  if (asked?.trim() === '') return undefined
  return pingScope(asked) ?? `repository:${repository}:pull`
}

/** The scope to ask for where no repository is meant, as for `/v2/`: the challenge's, if it is of another kind, or none. */
export function pingScope(asked: string | undefined): string | undefined {
  if (asked === undefined || asked.trim() === '') return undefined
  return asked.split(' ').some((part) => /^repository[:(]/i.test(part)) ? undefined : asked
}
