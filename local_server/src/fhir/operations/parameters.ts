/** Input of operations: plain JSON or a Parameters resource. */
import { badRequest, isEmpty, OperationOutcomeError, validateResource } from '@medplum/core';
import type { FhirRequest } from '@medplum/fhir-router';
import type { Parameters } from '@medplum/fhirtypes';

/** Names of the wanted parameters with their FHIR type (`string`, `Reference`, …). */
export type ParameterTypes = Record<string, { readonly type: string; readonly required?: boolean }>;

/** @throws OperationOutcomeError 400 for a required one that is missing */
export function inputParameters<T>(request: FhirRequest, types: ParameterTypes): T {
  const body = request.body as Record<string, unknown>;
  const result: Record<string, unknown> = {};
  const isParameters = body.resourceType === 'Parameters';
  if (isParameters) {
    validateResource(body as unknown as Parameters);
  }
  for (const [name, { type, required }] of Object.entries(types)) {
    const found = isParameters ? parameterValue(body as unknown as Parameters, name, type) : body[name];
    const value: unknown = Array.isArray(found) ? found[0] : found;
    if (required && isEmpty(value)) {
      throw new OperationOutcomeError(
        badRequest(`Expected at least 1 value(s) for required input parameter '${name}'`)
      );
    }
    result[name] = value;
  }
  return result as T;
}

function parameterValue(parameters: Parameters, name: string, type: string): unknown {
  const found = parameters.parameter?.find((p) => p.name === name) as Record<string, unknown> | undefined;
  return found?.[`value${type.charAt(0).toUpperCase()}${type.slice(1)}`];
}
