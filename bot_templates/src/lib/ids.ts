const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a value has the form of the ids that Medplum gives. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}

/** `Type/id` taken apart; undefined for a contained, absolute or logical reference. */
export function parseReference(reference: unknown): { resourceType: string; id: string } | undefined {
  if (typeof reference !== 'string') {
    return undefined;
  }
  const match = /^([A-Z][A-Za-z]{1,60})\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/.exec(reference);
  return match?.[1] && match[2] ? { resourceType: match[1], id: match[2] } : undefined;
}

/** The id of a reference to one type, when it is a UUID. */
export function referencedId(reference: unknown, resourceType: string): string | undefined {
  const parsed = parseReference(reference);
  return parsed?.resourceType === resourceType && isUuid(parsed.id) ? parsed.id.toLowerCase() : undefined;
}
