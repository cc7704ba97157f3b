// What EAS's own SDK says of an attestation: node read.mjs RPC EAS SCHEMA_REGISTRY UID prints it as JSON.
import { createRequire } from "node:module";

// The SDK's CommonJS build: Node.js can't load its other one, which imports names from lodash.
const require = createRequire(import.meta.url);
const { EAS, SchemaEncoder, SchemaRegistry } = require("@ethereum-attestation-service/eas-sdk");
const { JsonRpcProvider } = require("ethers");

const [url, easAddress, registryAddress, uid] = process.argv.slice(2);
const provider = new JsonRpcProvider(url);
const eas = new EAS(easAddress);
const registry = new SchemaRegistry(registryAddress);
eas.connect(provider);
registry.connect(provider);

const attestation = await eas.getAttestation(uid);
const schema = await registry.getSchema({ uid: attestation.schema });
const fields = new SchemaEncoder(schema.schema).decodeData(attestation.data);
console.log(
    JSON.stringify({
        valid: await eas.isAttestationValid(uid),
        attester: attestation.attester.toLowerCase(),
        revocable: attestation.revocable,
        revoked: await eas.isAttestationRevoked(uid),
        resolver: schema.resolver.toLowerCase(),
        fields: Object.fromEntries(fields.map((field) => [field.name, String(field.value.value)])),
    }),
);
provider.destroy();
