/** The CapabilityStatement. Its software name says that this is not Medplum. */
import { getAllDataTypes, getSearchParameters, isResourceType } from '@medplum/core';
import type { CapabilityStatement, CapabilityStatementRestResource, ResourceType } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import { SERVER_NAME, STANDS_IN_FOR } from '../http/reply.ts';
import { searchableTypes } from './definitions.ts';

let kept: { baseUrl: string; statement: CapabilityStatement } | undefined;

export function capabilityStatement(app: App): CapabilityStatement {
  if (kept?.baseUrl !== app.baseUrl) {
    kept = { baseUrl: app.baseUrl, statement: build(app.baseUrl) };
  }
  return kept.statement;
}

function build(baseUrl: string): CapabilityStatement {
  const url = `${baseUrl}fhir/R4/`;
  return {
    resourceType: 'CapabilityStatement',
    id: 'medbots-local-server',
    url: `${url}metadata`,
    version: STANDS_IN_FOR,
    name: 'MedbotsLocalServer',
    title: SERVER_NAME,
    status: 'active',
    date: new Date().toISOString(),
    description: 'A stand-in for a Medplum server on one machine, made of Medplum’s own packages.',
    kind: 'instance',
    software: { name: SERVER_NAME, version: STANDS_IN_FOR },
    implementation: { description: SERVER_NAME, url },
    fhirVersion: '4.0.1',
    format: ['json'],
    patchFormat: ['application/json-patch+json'],
    rest: [
      {
        mode: 'server',
        security: {
          cors: false,
          service: ['OAuth', 'Basic'].map((code) => ({
            coding: [{ system: 'http://terminology.hl7.org/CodeSystem/restful-security-service', code }],
          })),
        },
        interaction: [{ code: 'transaction' }, { code: 'batch' }],
        resource: searchableTypes().filter(isBaseType).sort().map(resourceEntry),
      },
    ],
  };
}

function isBaseType(type: string): boolean {
  return isResourceType(type) && getAllDataTypes()[type]?.version === '4.0.1';
}

function resourceEntry(type: string): CapabilityStatementRestResource {
  return {
    type: type as ResourceType,
    interaction: (
      ['read', 'vread', 'update', 'patch', 'delete', 'history-instance', 'create', 'search-type'] as const
    ).map((code) => ({ code })),
    versioning: 'versioned',
    readHistory: true,
    updateCreate: false,
    conditionalCreate: true,
    conditionalUpdate: true,
    conditionalRead: 'not-supported',
    conditionalDelete: 'single',
    searchParam: Object.values(getSearchParameters(type) ?? {}).map((p) => ({ name: p.code, definition: p.url, type: p.type })),
  };
}
