"""Every type of STIX 2.1, as a table: its properties, which are required, and of what kind.

A line is ``name:kind``; ``name!:kind`` is required. Kinds are read by ``stix_kinds``. Sections are
those of the OASIS Standard, STIX Version 2.1.
"""

from __future__ import annotations

from collections.abc import Mapping

DOMAIN: Mapping[str, str] = {  # section 4
    "attack-pattern": "name!:str description:str aliases:list(str) kill_chain_phases:list(phase)",
    "campaign": "name!:str description:str aliases:list(str) first_seen:time last_seen:time objective:str",
    "course-of-action": "name!:str description:str action:any",
    "grouping": "name:str description:str context!:str object_refs!:list(id)",
    "identity": "name!:str description:str roles:list(str) identity_class:str sectors:list(str)"
    " contact_information:str",
    "incident": "name!:str description:str",
    "indicator": "name:str description:str indicator_types:list(str) pattern!:str pattern_type!:str"
    " pattern_version:str valid_from!:time valid_until:time kill_chain_phases:list(phase)",
    "infrastructure": "name!:str description:str infrastructure_types:list(str) aliases:list(str)"
    " kill_chain_phases:list(phase) first_seen:time last_seen:time",
    "intrusion-set": "name!:str description:str aliases:list(str) first_seen:time last_seen:time"
    " goals:list(str) resource_level:str primary_motivation:str secondary_motivations:list(str)",
    "location": "name:str description:str latitude:number(-90..90) longitude:number(-180..180)"
    " precision:number(0..) region:str country:str administrative_area:str city:str"
    " street_address:str postal_code:str",
    "malware": "name:str description:str malware_types:list(str) is_family!:bool aliases:list(str)"
    " kill_chain_phases:list(phase) first_seen:time last_seen:time operating_system_refs:list(id(software))"
    " architecture_execution_envs:list(str) implementation_languages:list(str) capabilities:list(str)"
    " sample_refs:list(id(artifact|file))",
    "malware-analysis": "product!:str version:str host_vm_ref:id(software) operating_system_ref:id(software)"
    " installed_software_refs:list(id(software)) configuration_version:str modules:list(str)"
    " analysis_engine_version:str analysis_definition_version:str submitted:time analysis_started:time"
    " analysis_ended:time result_name:str result:str analysis_sco_refs:list(id)"
    " sample_ref:id(artifact|file|network-traffic)",
    "note": "abstract:str content!:str authors:list(str) object_refs!:list(id)",
    "observed-data": "first_observed!:time last_observed!:time number_observed!:int(1..999999999)"
    " objects:dict object_refs:list(id)",
    "opinion": "explanation:str authors:list(str) object_refs!:list(id)"
    " opinion!:enum(strongly-disagree|disagree|neutral|agree|strongly-agree)",
    "report": "name!:str description:str report_types:list(str) published!:time object_refs!:list(id)",
    "threat-actor": "name!:str description:str threat_actor_types:list(str) aliases:list(str)"
    " first_seen:time last_seen:time roles:list(str) goals:list(str) sophistication:str resource_level:str"
    " primary_motivation:str secondary_motivations:list(str) personal_motivations:list(str)",
    "tool": "name!:str description:str tool_types:list(str) aliases:list(str) kill_chain_phases:list(phase)"
    " tool_version:str",
    "vulnerability": "name!:str description:str",
}

RELATIONSHIP: Mapping[str, str] = {  # section 5
    "relationship": "relationship_type!:word description:str source_ref!:id target_ref!:id"
    " start_time:time stop_time:time",
    "sighting": "description:str first_seen:time last_seen:time count:int(0..999999999) sighting_of_ref!:id"
    " observed_data_refs:list(id(observed-data)) where_sighted_refs:list(id(identity|location)) summary:bool",
}

OBSERVABLE: Mapping[str, str] = {  # section 6
    "artifact": "mime_type:str payload_bin:base64 url:str hashes:hashes decryption_key:str"
    " encryption_algorithm:enum(AES-256-GCM|ChaCha20-Poly1305|mime-type-indicated)",
    "autonomous-system": "number!:int(0..) name:str rir:str",
    "directory": "path!:str path_enc:str ctime:time mtime:time atime:time"
    " contains_refs:list(id(file|directory))",
    "domain-name": "value!:str resolves_to_refs:list(id(ipv4-addr|ipv6-addr|domain-name))",
    "email-addr": "value!:str display_name:str belongs_to_ref:id(user-account)",
    "email-message": "is_multipart!:bool date:time content_type:str from_ref:id(email-addr)"
    " sender_ref:id(email-addr) to_refs:list(id(email-addr)) cc_refs:list(id(email-addr))"
    " bcc_refs:list(id(email-addr)) message_id:str subject:str received_lines:list(str)"
    " additional_header_fields:dict body:str body_multipart:list(mime) raw_email_ref:id(artifact)",
    "file": "hashes:hashes size:int(0..) name:str name_enc:str magic_number_hex:hex mime_type:str ctime:time"
    " mtime:time atime:time parent_directory_ref:id(directory) contains_refs:list(id)"
    " content_ref:id(artifact)",
    "ipv4-addr": "value!:str resolves_to_refs:list(id(mac-addr)) belongs_to_refs:list(id(autonomous-system))",
    "ipv6-addr": "value!:str resolves_to_refs:list(id(mac-addr)) belongs_to_refs:list(id(autonomous-system))",
    "mac-addr": "value!:str",
    "mutex": "name!:str",
    "network-traffic": "start:time end:time is_active:bool src_ref:id dst_ref:id src_port:int(0..65535)"
    " dst_port:int(0..65535) protocols!:list(str) src_byte_count:int(0..) dst_byte_count:int(0..)"
    " src_packets:int(0..) dst_packets:int(0..) ipfix:dict src_payload_ref:id(artifact)"
    " dst_payload_ref:id(artifact) encapsulates_refs:list(id(network-traffic))"
    " encapsulated_by_ref:id(network-traffic)",
    "process": "is_hidden:bool pid:int(0..) created_time:time cwd:str command_line:str"
    " environment_variables:dict opened_connection_refs:list(id(network-traffic))"
    " creator_user_ref:id(user-account) image_ref:id(file) parent_ref:id(process)"
    " child_refs:list(id(process))",
    "software": "name!:str cpe:str swid:str languages:list(str) vendor:str version:str",
    "url": "value!:str",
    "user-account": "user_id:str credential:str account_login:str account_type:str display_name:str"
    " is_service_account:bool is_privileged:bool can_escalate_privs:bool is_disabled:bool"
    " account_created:time account_expires:time credential_last_changed:time account_first_login:time"
    " account_last_login:time",
    "windows-registry-key": "key:str values:list(registry) modified_time:time"
    " creator_user_ref:id(user-account) number_of_subkeys:int(0..)",
    "x509-certificate": "is_self_signed:bool hashes:hashes version:str serial_number:str"
    " signature_algorithm:str issuer:str validity_not_before:time validity_not_after:time subject:str"
    " subject_public_key_algorithm:str subject_public_key_modulus:str subject_public_key_exponent:int"
    " x509_v3_extensions:dict",
}

META: Mapping[str, str] = {  # section 7
    "marking-definition": "name:str definition_type:str definition:any",
    "language-content": "object_ref!:id object_modified:time contents!:dict",
    "extension-definition": "name!:str description:str schema!:str version!:str"
    " extension_types!:list(enum(new-sdo|new-sco|new-sro|property-extension|toplevel-property-extension))"
    " extension_properties:list(str)",
}

COMMON = (  # section 3.2, for domain, relationship, language-content and extension-definition objects
    "type!:str spec_version!:enum(2.1) id!:id created!:time modified!:time created_by_ref:id(identity)"
    " revoked:bool labels:list(str) confidence:int(0..100) lang:str external_references:list(external)"
    " object_marking_refs:list(id(marking-definition)) granular_markings:list(granular) extensions:dict"
)
COMMON_OBSERVABLE = (
    "type!:str spec_version:enum(2.1) id!:id object_marking_refs:list(id(marking-definition))"
    " granular_markings:list(granular) defanged:bool extensions:dict"
)
COMMON_MARKING = (
    "type!:str spec_version!:enum(2.1) id!:id created!:time created_by_ref:id(identity)"
    " external_references:list(external) object_marking_refs:list(id(marking-definition))"
    " granular_markings:list(granular) extensions:dict"
)

PARTS: Mapping[str, str] = {  # section 2 and 6: what stands inside objects
    "phase": "kill_chain_name!:str phase_name!:str",
    "external": "source_name!:str description:str url:str hashes:hashes external_id:str",
    "granular": "lang:str marking_ref:id(marking-definition) selectors!:list(str)",
    "mime": "body:str body_raw_ref:id(artifact|file) content_type:str content_disposition:str",
    "registry": "name:str data:str data_type:str",
}

AT_LEAST_ONE: Mapping[str, tuple[str, ...]] = {
    "artifact": ("payload_bin", "url"),
    "file": ("hashes", "name"),
    "network-traffic": ("src_ref", "dst_ref"),
    "observed-data": ("objects", "object_refs"),
    "marking-definition": ("definition", "extensions"),
    "granular": ("marking_ref", "lang"),
    "mime": ("body", "body_raw_ref"),
    "malware-analysis": ("result", "analysis_sco_refs"),
    "external": ("description", "url", "external_id"),
    "location": ("region", "country", "latitude"),
    **{
        type: (*(part.partition(":")[0] for part in OBSERVABLE[type].split()), "extensions")
        for type in ("process", "user-account", "x509-certificate")
    },
}
"""Of these properties one at least must be there."""

ONLY_ONE: Mapping[str, tuple[str, ...]] = {
    "artifact": ("payload_bin", "url"),
    "observed-data": ("objects", "object_refs"),
    "granular": ("marking_ref", "lang"),
}
"""Of these properties not more than one may be there."""

NEEDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "artifact": (("url", "hashes"), ("decryption_key", "encryption_algorithm")),
    "location": (("latitude", "longitude"), ("longitude", "latitude"), ("precision", "latitude")),
    "file": (("name_enc", "name"),),
    "marking-definition": (("definition", "definition_type"),),
}
"""(a, b): where a stands, b must stand too."""

ORDERED: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    "campaign": (("first_seen", "last_seen", False),),
    "indicator": (("valid_from", "valid_until", True),),
    "infrastructure": (("first_seen", "last_seen", False),),
    "intrusion-set": (("first_seen", "last_seen", False),),
    "malware": (("first_seen", "last_seen", False),),
    "malware-analysis": (("analysis_started", "analysis_ended", False),),
    "network-traffic": (("start", "end", False),),
    "observed-data": (("first_observed", "last_observed", False),),
    "relationship": (("start_time", "stop_time", True),),
    "sighting": (("first_seen", "last_seen", False),),
    "threat-actor": (("first_seen", "last_seen", False),),
}
"""(a, b, strictly): b is not before a, or strictly after it."""
