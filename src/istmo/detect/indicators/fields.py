"""Which field of an event holds what.

Names of the Sigma taxonomy (appendix 2.1: Windows and Sysmon, proxy, web server, DNS, firewall) and
of Zeek, Suricata EVE and ECS. A field that is not listed is looked at whole: an address, a name, a
URL, a digest or a mail address in it counts; no text is searched in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class Role(Enum):
    """How the text of a field is read."""

    HOST = "host"
    """An address or a name, perhaps with a port or leading backslashes around it."""
    ANSWERS = "answers"
    """What a name server answered: names and addresses with marks between them."""
    URL = "url"
    HASHES = "hashes"
    """``SHA256=…,MD5=…`` as Sysmon writes it, or one digest."""
    PATH = "path"
    """A file with or without its folder."""
    TEXT = "text"
    """Free text: searched for values of every kind."""
    PERSON = "person"
    """An account or a mail address."""
    ANY = "any"
    """Unlisted: read as whatever it looks like as a whole."""
    NONE = "none"
    """Numbers, times, identifiers of the event: never an indicator's value."""


_NAMES: Final[Mapping[Role, str]] = {
    Role.HOST: """
        SourceIp DestinationIp SourceHostname DestinationHostname QueryName SourceAddress DestAddress
        IpAddress ClientAddress ClientName WorkstationName Workstation TargetServerName DCName
        RemoteAddress LocalAddress RemoteName RemoteHost ServerName DestinationIpAddress Address
        c-ip s-ip cs-host c-uri-host r-dns cs-x-forwarded-for
        src_ip dst_ip dest_ip src dst query answer server_name sni
        id.orig_h id.resp_h id_orig_h id_resp_h hostname rrname rdata
        source.ip destination.ip client.ip server.ip source.address destination.address
        source.domain destination.domain dns.question.name url.domain
        x-forwarded-for remote_addr http_host virtual_host
    """,
    Role.ANSWERS: "QueryResults answers record_value tx_hosts rx_hosts dns.resolved_ip",
    Role.URL: """
        url Url URL uri c-uri cs-uri cs-uri-stem cs-uri-query cs-referrer cs-referer referrer referer
        http.url http.referrer url.full url.original http.request.referrer RemoteUrl HostUrl ReferrerUrl
    """,
    Role.HASHES: """
        Hashes Hash FileHash md5 sha1 sha256 sha512 MD5 SHA1 SHA256 SHA512
        file.hash.md5 file.hash.sha1 file.hash.sha256 process.hash.md5 process.hash.sha256 hash
    """,
    Role.PATH: """
        Image ParentImage SourceImage TargetImage ImageLoaded TargetFilename OriginalFileName
        NewProcessName ParentProcessName ProcessName CallerProcessName Application ApplicationPath
        ObjectName RelativeTargetName FileName Filename filename FilePath FullPath fullpath
        Path Device PipeName ScriptName TargetPath NewName process.executable file.path file.name
    """,
    Role.TEXT: """
        CommandLine ParentCommandLine ProcessCommandLine ScriptBlockText Payload ContextInfo
        HostApplication Details Contents ImagePath ServiceFileName TaskContent TaskContentNew Arguments
        ActionName Destination Query Consumer Filter Data Name Value NewValue
        param1 param2 param3 param4 param5 ShareName ShareLocalPath
        message msg body payload_printable cs-user-agent c-useragent user_agent process.command_line
        cs-cookie http_user_agent AdditionalInfo
    """,
    Role.PERSON: """
        User SubjectUserName TargetUserName AccountName UserPrincipalName ParentUser SourceUser TargetUser
        SamAccountName TargetOutboundUserName from to cc bcc sender recipient mailfrom rcptto
        email.from.address email.to.address reply_to user.email user.name cs-username
    """,
    Role.NONE: """
        EventID EventRecordID RecordNumber Channel SourceName Provider_Name Provider_Guid ProviderGuid
        Keywords Level Task Opcode OpcodeValue Version Severity SeverityValue EventType EventTypeOrignal
        Category TimeCreated TimeCreated_SystemTime UtcTime EventTime EventReceivedTime @timestamp
        @version timestamp ts CreationUtcTime PreviousCreationUtcTime SystemTime host Hostname Computer
        port tags ThreadID ProcessID ProcessId ExecutionProcessID Execution_ProcessID Execution_ThreadID
        SourceModuleName SourceModuleType ProcessGuid ParentProcessGuid ParentProcessId SourceProcessGUID
        TargetProcessGUID SourceProcessGuid TargetProcessGuid SourceProcessId TargetProcessId
        SourceThreadId LogonGuid LogonId LogonType TerminalSessionId IntegrityLevel GrantedAccess
        CallTrace RuleName UserID AccountType Domain SubjectUserSid SubjectDomainName SubjectLogonId
        TargetUserSid TargetDomainName TargetLogonId TargetObject ObjectServer ObjectType AccessMask
        AccessList AccessReason PrivilegeList EnabledPrivilegeList DisabledPrivilegeList HandleId
        SourceHandleId TargetHandleId ResourceAttributes TransactionId RestrictedSidCount
        FileVersion Description Product Company Signed Signature SignatureStatus Protocol SourcePort
        DestinationPort DestPort SourcePortName DestinationPortName SourceIsIpv6 DestinationIsIpv6
        Initiated FilterRTID LayerName LayerRTID Direction RemoteUserID RemoteMachineID ActivityID
        Correlation_ActivityID QueryStatus ScriptBlockId MessageNumber MessageTotal CurrentDirectory
        Status ReturnCode GroupMembership Security_UserID ERROR_EVT_UNRESOLVED RunspaceId Archived
        IsExecutable NewProcessId TokenElevationType MandatoryLabel uid fuid
    """,
}

ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {name: role for role, names in _NAMES.items() for name in names.split()}
)
"""The role of each known field. The host that reports is no party to what it reports."""

REPEATING: Final = frozenset({"Message"})
"""Rendered from the other fields where an event comes from the Windows event log: then not read again."""


def role_of(name: str, is_windows: bool) -> Role:
    """How a field is read. ``name`` may be dotted (nested events); then its last part counts as well."""
    if name in REPEATING:
        return Role.NONE if is_windows else Role.TEXT
    found = ROLES.get(name)
    if found is None and "." in name:
        found = ROLES.get(name.rpartition(".")[2])
    return found or Role.ANY
