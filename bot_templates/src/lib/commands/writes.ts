import { randomUUID } from 'node:crypto';
import type { Identifier, Resource } from '@medplum/fhirtypes';
import type { EffectContext, Write } from './kind.ts';
import { withAiLabel } from './label.ts';

/** A resource that a command may make: it carries the command's identifier. */
type Identified = Resource & { identifier?: Identifier[] | Identifier };

/** The identifier of whatever a command makes. */
export function commandIdentifier(namespace: string, commandId: string): Identifier {
  return { system: `${namespace}/command`, value: commandId };
}

/** The search that finds what a command made. */
export function byIdentifier(identifier: Identifier): string {
  return `identifier=${encodeURIComponent(`${identifier.system}|${identifier.value}`)}`;
}

/** Creates a labelled resource unless one with the command's identifier is there. */
export function create<T extends Identified>(context: EffectContext, resource: T): Write {
  const identifier = commandIdentifier(context.namespace, context.commandId);
  return {
    fullUrl: `urn:uuid:${randomUUID()}`,
    resource: { ...resource, meta: withAiLabel(resource.meta), identifier: [identifier] } as Resource,
    request: { method: 'POST', url: resource.resourceType, ifNoneExist: byIdentifier(identifier) },
  };
}

/** Changes a resource, and leaves the command's identifier in it, if it is still at a version. */
export function update<T extends Identified>(context: EffectContext, resource: T, versionId: string): Write {
  const identifier = commandIdentifier(context.namespace, context.commandId);
  const others = [resource.identifier ?? []].flat();
  return {
    fullUrl: `${resource.resourceType}/${resource.id}`,
    resource: {
      ...resource,
      meta: withAiLabel(resource.meta),
      identifier: [...others, identifier],
    } as Resource,
    request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}`, ifMatch: `W/"${versionId}"` },
  };
}
