import { InvalidArgumentError, Option } from 'commander'

/** `--expires-at TIME`, RFC 3339. */
export function expiresAtOption(): Option {
  const text = 'when the registry ends the password, as 2027-01-31T00:00:00Z'
  return new Option('--expires-at <time>', text).argParser(time)
}

function time(text: string): string {
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)))
    return text
  throw new InvalidArgumentError('It must be a time such as 2027-01-31T00:00:00Z.')
}
